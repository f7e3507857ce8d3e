"""HTTP/1.1 peer with one behaviour for each path. Prints its port; ends when its standard input does."""
import argparse, os, socket, ssl, struct, sys, threading, time

parser = argparse.ArgumentParser()
parser.add_argument("--cert")
parser.add_argument("--key")
parser.add_argument("--client-ca")
parser.add_argument("--alpn")
options = parser.parse_args()

context = None
if options.cert:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.cert, options.key)
    if options.client_ca:
        context.load_verify_locations(options.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    if options.alpn:
        context.set_alpn_protocols(options.alpn.split(","))

lock = threading.Lock()
gate = threading.Event()
connections = 0
requests = 0


def answer(sock, status, body=b"", extra=b""):
    head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n" % (status, len(body), extra)
    sock.sendall(head + body)


def serve(sock):
    global connections, requests
    with lock:
        connections += 1
        mine = connections
    data = b""
    try:
        if context:
            sock = context.wrap_socket(sock, server_side=True)
        sock.settimeout(60)
        while True:
            while b"\r\n\r\n" not in data:
                more = sock.recv(65536)
                if not more:
                    return
                data += more
            head, data = data.split(b"\r\n\r\n", 1)
            lines = head.split(b"\r\n")
            method, target, _ = lines[0].split(b" ")
            length = 0
            for line in lines[1:]:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            while len(data) < length:
                more = sock.recv(65536)
                if not more:
                    return
                data += more
            body, data = data[:length], data[length:]
            with lock:
                requests += 1
            path, _, query = target.partition(b"?")
            if path == b"/echo":
                answer(sock, b"200 OK", body, b"X-Two: a\r\nX-Two: b\r\nX-Method: " + method + b"\r\n")
            elif path == b"/head":
                answer(sock, b"200 OK", head)
            elif path == b"/connection":
                answer(sock, b"200 OK", b"%d %d" % (mine, requests))
            elif path == b"/gate":
                gate.wait(60)
                answer(sock, b"200 OK", b"opened")
            elif path == b"/open":
                gate.set()
                answer(sock, b"200 OK")
            elif path == b"/hang":
                time.sleep(60)
            elif path == b"/huge":
                sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
                block = b"x" * 65536
                for _ in range(int(query) // 65536):
                    sock.sendall(block)
                return
            elif path == b"/declared":
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: " + query + b"\r\n\r\n")
                time.sleep(60)
            elif path == b"/headers":
                sock.sendall(b"HTTP/1.1 200 OK\r\n")
                for index in range(int(query)):
                    sock.sendall(b"X-Filler-%d: " % index + b"y" * 8000 + b"\r\n")
                sock.sendall(b"Content-Length: 0\r\n\r\n")
            elif path == b"/redirect":
                answer(sock, b"302 Found", b"moved", b"Location: " + query + b"\r\n")
            elif path == b"/garbage":
                sock.sendall(b"\x00\x01this is no HTTP\r\n\r\n")
                return
            elif path == b"/reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            elif path == b"/cut":
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                return
            elif path == b"/status":
                answer(sock, query + b" Status", b"status", b"Retry-After: 7\r\n")
            else:
                answer(sock, b"404 Not Found")
    except (OSError, ValueError, ssl.SSLError):
        pass
    finally:
        sock.close()


def accept(listener):
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(sock,), daemon=True).start()


listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
threading.Thread(target=accept, args=(listener,), daemon=True).start()
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
os._exit(0)
