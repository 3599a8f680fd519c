"""With this folder on PYTHONPATH, no Python process reaches another machine.

Python imports this file at its start. A try is refused as if there were no network, and written to
the file $NETWORK_TRIES, so that a test also sees the tries that the program hides.
"""
import os
import socket


def _refuse_others(name, host_of, real):
    def guarded(*args, **kwargs):
        host = host_of(*args, **kwargs)
        host = host.decode() if isinstance(host, bytes) else host
        if host and host not in ('localhost', '::1', '0.0.0.0') and not host.startswith('127.'):
            with open(os.environ['NETWORK_TRIES'], 'a') as f: f.write(f'{name} {host}\n')
            raise socket.gaierror(socket.EAI_AGAIN, f'no network in this test: {name} {host}')
        return real(*args, **kwargs)
    return guarded


def _address(sock, *args):
    # the last argument of connect(address) and of sendto(data, flags, address); a path if local
    return args[-1][0] if isinstance(args[-1], tuple) else None


for _name in ('connect', 'connect_ex', 'sendto'):
    setattr(socket.socket, _name, _refuse_others(_name, _address, getattr(socket.socket, _name)))

def _host(host, *_, **__): return host


for _name in ('getaddrinfo', 'gethostbyname', 'gethostbyname_ex'):
    setattr(socket, _name, _refuse_others(_name, _host, getattr(socket, _name)))
