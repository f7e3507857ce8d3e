"""Minimal HTTP/2 peer over TLS that misbehaves by script. Prints its port; ends with its standard input.

Modes: refuse-first (REFUSED_STREAM for the first stream of the process), refuse-all, goaway (GOAWAY with
last stream 0 on the first connection), reset (RST_STREAM INTERNAL_ERROR), die (closes on the first request of a
connection), babble (on the first connection answers one request, then says what is no frame once five more wait,
and keeps it open), answer-babble (the same in one breath with the answer to the second of the five), early (answers
400 to the header alone), bomb (the first answer's header is 4 kB that stand for 400), mute
(after the first request of all its connection is neither read nor closed), normal.
"""
import os, socket, ssl, struct, sys, threading

mode, cert, key = sys.argv[1:4]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
context.set_alpn_protocols(["h2"])
lock = threading.Lock()
streams = 0
connections = 0


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def read(sock, count):
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise OSError("closed")
        data += more
    return data


def serve(sock):
    global streams, connections
    try:
        sock = context.wrap_socket(sock, server_side=True)
        with lock:
            connections += 1
            mine = connections
        read(sock, 24)
        sock.sendall(frame(4, 0, 0))
        while True:
            head = read(sock, 9)
            length = int.from_bytes(head[:3], "big")
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:9], "big")
            payload = read(sock, length)
            if kind == 4 and not flags & 1:
                sock.sendall(frame(4, 1, 0))
            if kind == 6 and not flags & 1:
                sock.sendall(frame(6, 1, 0, payload))
            if kind != 1:
                continue
            with lock:
                streams += 1
                count = streams
            if mode == "refuse-all" or mode == "refuse-first" and count == 1:
                sock.sendall(frame(3, 0, stream, struct.pack(">I", 7)))
            elif mode == "reset":
                sock.sendall(frame(3, 0, stream, struct.pack(">I", 2)))
            elif mode == "goaway" and mine == 1:
                sock.sendall(frame(7, 0, 0, struct.pack(">II", 0, 0)))
            elif mode == "early":
                sock.sendall(frame(1, 5, stream, b"\x8c"))
            elif mode == "bomb" and count == 1:
                # One field of 4,000 bytes into the table (RFC 7541 section 6.2.1), and 100 times from there (6.1).
                field = b"\x40\x01x\x7f\xa1\x1e" + b"v" * 4000
                sock.sendall(frame(1, 5, stream, b"\x88" + field + b"\xbe" * 100))
            elif mode == "mute" and mine == 1:
                threading.Event().wait()
            elif mode == "die":
                return
            elif mode.endswith("babble") and mine == 1 and count > 1:
                if count == 6:
                    answer = frame(1, 5, 5, b"\x88") if mode == "answer-babble" else b""
                    sock.sendall(answer + b"SSH-2.0-surprise\r\n\r\n")
            else:
                text = b"%d %d" % (mine, count)
                sock.sendall(frame(1, 4, stream, b"\x88") + frame(0, 1, stream, text))
    except (OSError, ssl.SSLError):
        pass
    finally:
        sock.close()


def accept(listener):
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock,), daemon=True).start()


listener = socket.create_server(("127.0.0.1", 0), backlog=128)
threading.Thread(target=accept, args=(listener,), daemon=True).start()
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
os._exit(0)
