"""Requests that are none, each of one kind, and some that only look like it."""

from __future__ import annotations

# What an attacker would have answered as somebody else's request.
SMUGGLED = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
BODY = b'{"model": "echo/embed", "input": "x"}'
HELLO = b"25\r\n" + BODY + b"\r\n"


def get(*fields: bytes, target: bytes = b"/livez", version: bytes = b"HTTP/1.1") -> bytes:
    """A GET whose `Host` is right, with ``fields``."""
    lines = (b"GET " + target + b" " + version, b"Host: localhost", *fields)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def line(request_line: bytes) -> bytes:
    return request_line + b"\r\nHost: localhost\r\n\r\n"


def post(*fields: bytes, body: bytes = BODY) -> bytes:
    return POST + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


LENGTH = b"Content-Length: %d" % len(BODY)
TE = b"Transfer-Encoding: "

REFUSED = {
    # request lines
    "no target": line(b"GET HTTP/1.1"),
    "a line for each word": b"GET\n/livez\nHTTP/1.1\r\nHost: localhost\r\n\r\n",
    "bare LF after the request line": b"GET /livez HTTP/1.1\nHost: localhost\r\n\r\n",
    "bare CR after the request line": b"GET /livez HTTP/1.1\rHost: localhost\r\n\r\n",
    "two spaces before the version": line(b"GET /livez  HTTP/1.1 x"),
    "a tab for a space": line(b"GET\t/livez HTTP/1.1"),
    "colon in the method": line(b"bla:rgh /livez HTTP/1.1"),
    "colon after the method": line(b"GET: /livez HTTP/1.1"),
    "method starts with a dash": line(b"-bl /livez HTTP/1.1"),
    "lowercase method": line(b"get /livez HTTP/1.1"),
    "unknown method": line(b"BREW /livez HTTP/1.1"),
    "NUL after the method": line(b"GET\x00 /livez HTTP/1.1"),
    "NUL inside the method": line(b"GET\x00PROXY /livez HTTP/1.1"),
    "method with sharp s": line(b"GET\xdf /livez HTTP/1.1"),
    "method with y diaeresis": line(b"GET\xff /livez HTTP/1.1"),
    "proxy protocol": b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n" + get(),
    "proxy protocol, cut short": b"PROXY TCP4 192.168.0.1 192.16...\r\n" + get(),
    "proxy protocol, a number too large": b"PROXY TCP4 1.1.1.1 2.2.2.2 65iii 100000\r\n" + get(),
    "proxy protocol, not an address": b"PROXY TCP4 not-an-ip 2.2.2.2 1 443\r\n" + get(),
    "CONNECT": line(b"CONNECT localhost:443 HTTP/1.1"),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    # targets
    "relative target": get(target=b"livez"),
    "authority as target": get(target=b"localhost:443"),
    "asterisk with GET": get(target=b"*"),
    "foreign scheme": get(target=b"s://]ufd/:"),
    "user in the target": get(target=b"http://a@localhost/livez"),
    "a port in the target that is none": b"GET http://localhost:99999/livez HTTP/1.1\r\n"
    b"Host: localhost:99999\r\n\r\n",
    "two ports in the target": get(target=b"http://localhost:1:2/livez"),
    "a comma in the target's host": b"GET http://a,b/livez HTTP/1.0\r\n\r\n",
    "no host in the target": b"GET http://:/livez HTTP/1.0\r\n\r\n",
    "another host in the target": get(target=b"http://evil.example/livez"),
    "NUL in the target": get(target=b"/liv\x00ez"),
    "raw bytes in the target": get(target=b"/caf\xe9"),
    "target too long": get(target=b"/" + b"q" * 9000),
    # versions
    "other protocol": get(version=b"FTP/1.1"),
    "no dot": get(version=b"HTTP/111"),
    "endless version": get(version=b"HTTP/" + b"1" * 64 + b".1"),
    "HTTP/0.9": get(version=b"HTTP/0.9"),
    "HTTP/0.99": get(version=b"HTTP/0.99"),
    "HTTP/2.0": get(version=b"HTTP/2.0"),
    "HTTP/1.2": get(version=b"HTTP/1.2"),
    "lowercase version": get(version=b"http/1.1"),
    # names and values
    "NUL in a name": get(b"ba\x00z: bar"),
    "space before the colon": get(b"Content-Length : 3") + b"xyz",
    "space before the name": get(b" X-First: 1"),
    "no colon": get(b"X-Nothing"),
    "empty name": get(b": x"),
    "sharp s in a name": get(b"Content-Length\xdf: 3", b"Content-Length: 3") + b"xyz",
    "y diaeresis in a name": get(b"Content-Length\xff: 3", b"Content-Length: 3") + b"xyz",
    "bracket in a name": get(b"X[0]: 1"),
    "folded line": get(b"Long: one\r\n two"),
    "folded empty value": get(b"Accept:\r\n */*"),
    "folded with a tab": get(b"Long: one\r\n\ttwo"),
    "bell in a value": get(b"X: plain\x07injected"),
    "DEL in a value": get(b"X: plain\x7finjected"),
    "NUL in a value": get(b"X: plain\x00injected"),
    "bare LF in a value": get(b"X: a\nContent-Length: 44"),
    "bare CR in a value": get(b"X: a\rContent-Length: 44"),
    "bare LF ends the head": b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: 1\n\n",
    "underscore for a dash in a length": get(b"Content_Length: -1E23", b"Content-Length: 0"),
    "underscore for a dash in an encoding": post(b"Transfer_Encoding: chunked", LENGTH),
    "two content types": post(b"Content-Type: text/html", LENGTH),
    "two hosts": get(b"Host: evil.example"),
    "no host": b"GET /livez HTTP/1.1\r\nAccept: */*\r\n\r\n",
    "host with a path": b"GET /livez HTTP/1.1\r\nHost: localhost/x\r\n\r\n",
    "host with a fragment": b"GET /v1/models HTTP/1.1\r\nHost: x/#@localhost\r\n\r\n",
    "two authorizations": get(b"Authorization: Bearer a", b"Authorization: Bearer b"),
    "101 headers": get(*(b"header%d: %d" % (n, n) for n in range(100))),
    "one header too long": get(b"Long-header: " + b"0" * 40_000),
    "headers too long together": get(*(b"header%d: " % n + b"y" * 4000 for n in range(9))),
    "header without a value, too long": get(b"y" * 40_000 + b":"),
    # lengths
    "negative length": post(b"Content-Length: -1"),
    "length in words": post(b"Content-Length: bla-bla-bla"),
    "minus zero": post(b"Content-Length: -0"),
    "underscore in a length": post(b"Content-Length: 3_7"),
    "plus sign": post(b"Content-Length: +37"),
    "hexadecimal length": post(b"Content-Length: 0x25"),
    "two numbers": post(b"Content-Length: 37 1"),
    "a list of one length": post(b"Content-Length: 37, 37"),
    "no length": post(b"Content-Length:"),
    "a length past 64 bits": post(b"Content-Length: 18446744073709551653"),
    "two lengths": post(b"Content-Length: 3", LENGTH),
    "two equal lengths": post(LENGTH, LENGTH),
    # codings
    "CL.TE": post(b"Content-Length: 3", TE + b"chunked", body=b"0\r\n\r\n"),
    "TE.CL": post(TE + b"chunked", b"Content-Length: 4", body=b"5c\r\nx\r\n0\r\n\r\n"),
    "TE.TE": post(TE + b"chunked", TE + b"identity", body=HELLO),
    "TE.TE, a false one": post(TE + b"chunked", TE + b"x", body=HELLO),
    "chunked twice": post(TE + b"identity", TE + b"chunked", TE + b"chunked", body=HELLO),
    "chunked twice in one": post(TE + b"identity, chunked, identity, chunked", body=HELLO),
    "chunked is not last": post(TE + b"chunked", TE + b"gzip", body=HELLO),
    "gzip before chunked": post(TE + b"gzip, chunked", body=HELLO),
    "identity": post(TE + b"identity", body=HELLO),
    "quoted chunked": post(TE + b'"chunked"', body=HELLO),
    "a tab before chunked": post(TE + b"\tchunked", b"Content-Length: 12", body=HELLO),
    "an underscore beside chunked": post(b"Transfer_Encoding: gzip", TE + b"chunked", body=HELLO),
    "vertical tab before chunked": post(TE + b"\x0bchunked", body=HELLO),
    "HTTP/1.0 with chunks": CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + HELLO + b"0\r\n\r\n",
    # chunks
    "underscore in a size": CHUNKED + b"2_5\r\n" + BODY + b"\r\n0\r\n\r\n",
    "space after a size": CHUNKED + HELLO + b"0 \r\n\r\n",
    "space before a size": CHUNKED + HELLO + b" 0\r\n\r\n",
    "bare LF after a size": CHUNKED + b"25\n;\r\n" + BODY + b"\r\n0\r\n\r\n",
    "an extension without a size": CHUNKED + b" ;foo=bar\r\n" + BODY + b"\r\n0\r\n\r\n",
    "no size": CHUNKED + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
    "bare CR in an extension": CHUNKED + b"25;ext=val\rue\r\n" + BODY + b"\r\n0\r\n\r\n",
    "bare LF in an extension": CHUNKED + b"25;ext=val\nue\r\n" + BODY + b"\r\n0\r\n\r\n",
    "minus sign in a size": CHUNKED + b"-25\r\n" + BODY + b"\r\n0\r\n\r\n",
    "plus sign in a size": CHUNKED + b"+25\r\n" + BODY + b"\r\n0\r\n\r\n",
    "0x in a size": CHUNKED + b"0x25\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a size past 64 bits": CHUNKED + b"10000000000000025\r\n" + BODY + b"\r\n0\r\n\r\n",
    "more bytes than the size": CHUNKED + b"3\r\n" + BODY + b"\r\n0\r\n\r\n",
    "bare LF after a chunk": CHUNKED + b"25\r\n" + BODY + b"\n0\r\n\r\n",
    "a length in the trailer": CHUNKED + HELLO + b"0\r\nContent-Length: 99\r\n\r\n",
    "a host in the trailer": CHUNKED + HELLO + b"0\r\nHost: evil.example\r\n\r\n",
    "an encoding in the trailer": CHUNKED + HELLO + b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a key in the trailer": CHUNKED + HELLO + b"0\r\nAuthorization: Bearer x\r\n\r\n",
    "a folded trailer": CHUNKED + HELLO + b"0\r\nX: a\r\n b\r\n\r\n",
    "bare LF for the end": CHUNKED + HELLO + b"0\r\n\n",
}

SERVED = {
    "a plain request": post(LENGTH),
    "chunks": CHUNKED + HELLO + b"0\r\n\r\n",
    "chunks with an extension and a trailer": CHUNKED
    + HELLO.replace(b"25", b"25;a=b", 1)
    + b"0\r\nX-Sum: 1\r\n\r\n",
    "whole URL as target": post(LENGTH).replace(b" /v1", b" http://localhost/v1"),
    "an empty line before": b"\r\n" + post(LENGTH),
    "headers of a proxy that nobody trusts": post(
        b"X-Forwarded-Proto: https", b"X-Forwarded-Ssl: on", b"X-Forwarded-For: ::1", LENGTH
    ),
    "several proxies, each with its scheme": post(
        b"X-Forwarded-Proto: https, http", b"X-Forwarded-Ssl: off", LENGTH
    ),
    "proxies that contradict each other": post(
        b"X-Forwarded-Proto: https", b"X-Forwarded-Ssl: off", LENGTH
    ),
    "a field of each proxy where others write a list": post(
        b"X-Forwarded-Proto: https", b"X-Forwarded-Proto: http", LENGTH
    ),
    "proxies of different habits": post(
        b"X-Forwarded-Protocol: ssl",
        b"X-Forwarded-Proto: http",
        b"X-Forwarded-Host: a.example",
        b"X-Forwarded-Port: 0",
        b"X-Forwarded-For: unknown",
        b"Forwarded: proto=gopher;for=_x",
        b"Via: 1.0 a, 1.1 b",
        LENGTH,
    ),
    "latin-1 in a value": post(b"X-Name: M\xfcller", LENGTH),
}

# What breaks off in the middle, which is no request either.
BROKEN_OFF = {
    "half a head": b"GET /v1/models HTTP/1.1\r\nHo",
    "half a body": post(LENGTH, body=BODY[:-1]),
    "no final line": CHUNKED + HELLO + b"0\r\n",
}

# The 74 files of gunicorn's tests/requests/invalid (August 2026), and which of the above is of the
# same kind. What proxies say of the scheme, 019, is refused there since it is used there.
GUNICORN = {
    "001": "half a head",
    "002": "no target",
    "003": "a line for each word",
    "003b": "colon in the method",
    "003c": "method starts with a dash",
    "004": "other protocol",
    "005": "NUL in a name",
    "006": "target too long",
    "007": "header without a value, too long",
    "008": "one header too long",
    "009": "101 headers",
    "010": "headers too long together",
    "011": "101 headers",
    "012": "one header too long",
    "013": "folded empty value",
    "014": "negative length",
    "015": "length in words",
    "016": "foreign scheme",
    "017": "one header too long",
    "018": "no dot",
    "019": "proxies that contradict each other",
    "020": "space before the colon",
    "021": "two lengths",
    "022": "minus zero",
    "023": "underscore in a length",
    "024": "plus sign",
    "040": "underscore for a dash in a length",
    "041": "two content types",
    "042": "two hosts",
    "chunked_01": "underscore in a size",
    "chunked_02": "a tab before chunked",
    "chunked_03": "chunked twice in one",
    "chunked_04": "chunked twice",
    "chunked_05": "HTTP/1.0 with chunks",
    "chunked_06": "chunked is not last",
    "chunked_07": "an underscore beside chunked",
    "chunked_08": "TE.TE",
    "chunked_09": "space after a size",
    "chunked_10": "space before a size",
    "chunked_11": "bare LF after a size",
    "chunked_12": "an extension without a size",
    "chunked_13": "no size",
    "chunked_14": "bare CR in an extension",
    "invalid_field_value_01": "bare LF in a value",
    "limit_header_default_01": "one header too long",
    "nonascii_01": "method with sharp s",
    "nonascii_02": "method with y diaeresis",
    "nonascii_03": "sharp s in a name",
    "nonascii_04": "y diaeresis in a name",
    "obs_fold_01": "folded line",
    "pp_01": "proxy protocol, cut short",
    "pp_02": "proxy protocol, a number too large",
    "pp_03": "proxy protocol, not an address",
    "prefix_01": "NUL inside the method",
    "prefix_02": "NUL after the method",
    "prefix_03": "two numbers",
    "prefix_04": "two numbers",
    "prefix_05": "colon after the method",
    "prefix_06": "endless version",
    "rfc9110_field_value_ctl_bel_01": "bell in a value",
    "rfc9110_field_value_ctl_del_01": "DEL in a value",
    "rfc9110_trailer_forbidden_cl_01": "a length in the trailer",
    "rfc9110_trailer_forbidden_host_01": "a host in the trailer",
    "rfc9110_trailer_forbidden_te_01": "an encoding in the trailer",
    "rfc9112_chunked_missing_final_crlf_01": "no final line",
    "rfc9112_chunked_size_minus_sign_01": "minus sign in a size",
    "rfc9112_chunked_size_plus_sign_01": "plus sign in a size",
    "rfc9112_smuggle_cl_list_form_01": "a list of one length",
    "rfc9112_smuggle_cl_te_chunked_01": "CL.TE",
    "rfc9112_target_asterisk_non_options_01": "asterisk with GET",
    "rfc9112_target_authority_non_connect_01": "authority as target",
    "rfc9112_target_relative_01": "relative target",
    "version_01": "HTTP/0.99",
    "version_02": "HTTP/2.0",
}
