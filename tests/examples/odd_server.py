"""odd_server.py <kind>: a server for fetch_many_test.sh, at 127.0.0.1. Prints its port, then serves until it is killed.

answers  gives each client a whole answer
silent   accepts, and never says anything
closed   is not there: nobody listens at the port, which stays taken
odd      waits for six clients, and gives each another wrong answer
"""

import socket
import struct
import sys
import time

ODD = [
    b"220 mail.example ESMTP\r\n",
    b"HTTP/1.0 500 Out of order\r\nContent-Length: 2\r\n\r\nno",
    b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nless",
    b"HTTP/1.1 200 OK\r\nServer: x\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (2 << 20),
    None,  # a reset
]


def ask(client):
    request = b""
    while b"\r\n\r\n" not in request:
        request += client.recv(4096)


def answer(client, content):
    if content is None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    else:
        try:
            client.sendall(content)
        except ConnectionError:
            pass  # it had enough
    client.close()


def main():
    kind = sys.argv[1]
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    if kind != "closed":
        server.listen(128)
    print(server.getsockname()[1], flush=True)
    clients = []
    while kind in ("closed", "silent"):
        time.sleep(60)
    while True:
        client, _ = server.accept()
        ask(client)
        clients.append(client)
        if kind == "answers":
            answer(clients.pop(), b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        elif len(clients) == len(ODD):
            for each, content in zip(clients, ODD):
                answer(each, content)
            clients = []


if __name__ == "__main__":
    main()
