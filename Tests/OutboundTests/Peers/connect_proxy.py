"""A proxy that knows CONNECT alone (RFC 9110 section 9.3.6). Prints its port; ends with its standard input. The first
argument is a file to which it appends a line with the place asked for, for each connection."""
import os, socket, sys, threading

seen = sys.argv[1]


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(client):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        more = client.recv(1)
        if not more:
            return
        head += more
    method, place, _ = head.split(b"\r\n")[0].split(b" ")
    if method != b"CONNECT":
        client.sendall(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        client.close()
        return
    with open(seen, "ab") as file:
        file.write(place + b"\n")
    host, port = place.rsplit(b":", 1)
    server = socket.create_connection((host.decode(), int(port)))
    client.sendall(b"HTTP/1.1 200 Yes\r\n\r\n")
    threading.Thread(target=pump, args=(server, client), daemon=True).start()
    pump(client, server)


def accept(listener):
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client,), daemon=True).start()


listener = socket.create_server(("127.0.0.1", 0), backlog=128)
threading.Thread(target=accept, args=(listener,), daemon=True).start()
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
os._exit(0)
