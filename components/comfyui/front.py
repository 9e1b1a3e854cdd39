"""One address in front of the gateways of a stack: HAProxy's configuration, and Caddy's for a domain. Pure.

What belongs to a replica goes there: its jobs, its images, and requests that name one of its images. All
that asks for images goes to the replica with the fewest jobs: as many as it told at its last check, and those
that it was sent since. A request with an Idempotency-Key is told from others: it goes to where that key went
before, the moment it is known, and when its replica fails, to another one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_BUFFER: Final = 262_144
"""Bytes; holds two prompts of 10,000 characters that are all escaped pairs. A longer body is not repeated."""

_ERRORS: Final = {
    400: ("bad-request", "this is no valid HTTP request"),
    408: ("request-timeout", "the request did not come to an end in time: send it again"),
    500: ("internal", "the balancer failed: send the request again"),
    502: ("replica-failed", "the replica broke off: send the request again, with an Idempotency-Key"),
    503: (
        "no-replica",
        (
            "no replica that can serve this is up: try again in a while; what asked for a lost job "
            "may be sent again with its Idempotency-Key: another replica takes it"
        ),
    ),
    504: ("timeout", "the replica did not answer in time"),
}
"""By the status of what HAProxy itself answers, the error's type and message."""


@dataclass(frozen=True)
class Replica:
    """A gateway.

    Attributes:
        name: with which the ids of its jobs and images begin.
        host: an IP address or a host name.
        port: the public one.
        certificate: the only one that is believed, PEM.
    """

    name: str
    host: str
    port: int
    certificate: str

    @property
    def file(self) -> str:
        """Where HAProxy finds the certificate, relative to the folder that it is started in."""
        return f"certificates/{self.name}.pem"


def haproxy(replicas: Sequence[Replica], bind: str, *, behind_caddy: bool = False) -> str:
    """Return the configuration of HAProxy 2.4.4 or newer.

    Args:
        replicas: at least one.
        bind: where to listen, as HAProxy wants it: `address` and what belongs to it.
        behind_caddy: believe what `X-Forwarded-For` says.
    """
    numbered = list(enumerate(replicas, 1))
    return "\n".join(
        [
            _HEAD,
            *(f"  set-var proc.{replica.name} int(0)" for replica in replicas),
            _DEFAULTS,
            *(_error(status, *words) for status, words in _ERRORS.items()),
            _PEERS,
            "\nfrontend front",
            f"  bind {bind}",
            _FRONT,
            *([] if behind_caddy else ["  http-request set-header X-Forwarded-For %[src]"]),
            *(_way(replica) for replica in replicas),
            "  default_backend gateways",
            _GATEWAYS,
            *(_forget(number, replica) for number, replica in numbered),
            _CHOOSE,
            *(_weigh(number, replica) for number, replica in numbered),
            *(_send(number, replica) for number, replica in numbered),
            _CHOSEN,
            *(
                f"  use-server {replica.name} if {{ var(txn.replica) -m int {number} }}"
                for number, replica in numbered
            ),
            *(_way_in(number, replica) for number, replica in numbered),
            *(_own(replica) for replica in replicas),
            "",
        ]
    )


def caddyfile(domain: str, port: int) -> str:
    """Return the Caddyfile that serves `domain` by HTTPS from the HAProxy on that `port` of loopback."""
    return f"""{{
	admin off
	storage file_system caddy
}}

{domain} {{
	header -Server
	reverse_proxy 127.0.0.1:{port}
}}
"""


def address(host: str, port: int) -> str:
    """Return both as one word."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _error(status: int, kind: str, message: str) -> str:
    body = json.dumps({"error": {"type": kind, "message": message}})
    retry = " hdr Retry-After 5" if status == 503 else ""
    return f"  http-error status {status} content-type application/json string '{body}'{retry}"


def _way(replica: Replica) -> str:
    name = replica.name
    return f"""  use_backend {name} if {{ path_beg /jobs/{name}- /images/{name}- }}
  use_backend {name} if METH_POST ordering {{ req.body -m reg '"{name}-[0-9a-f]{{32}}"' }}"""


def _forget(number: int, replica: Replica) -> str:
    gone = f"{{ var(txn.replica) -m int {number} }} !{{ srv_is_up({replica.name}) }}"
    return f"  http-request set-var(txn.replica) int(0) if keyed {gone}"


def _weigh(number: int, replica: Replica) -> str:
    name = replica.name
    less = f"{{ srv_is_up({name}) }} {{ var(txn.load),sub(txn.least) -m int lt 0 }}"
    return f"""  http-request set-var(txn.load) rand(64)
  http-request set-var(txn.load) var(proc.{name}),mul(64),add(txn.load)
  http-request set-var(txn.replica) int({number}) if new {less}
  http-request set-var(txn.least) var(txn.load) if new {{ var(txn.replica) -m int {number} }}"""


def _send(number: int, replica: Replica) -> str:
    one_more = f"set-var(proc.{replica.name}) var(proc.{replica.name}),add(1)"
    return f"  http-request {one_more} if new {{ var(txn.replica) -m int {number} }}"


def _way_in(number: int, replica: Replica) -> str:
    name = replica.name
    return f"  server {name} unix@{name}.sock id {number} track {name}/{name}"


def _own(replica: Replica) -> str:
    name, place = replica.name, address(replica.host, replica.port)
    return f"""
listen {name}
  bind unix@{name}.sock mode 600
  acl among_others fe_name {name}
{_ANSWERS}
  http-response set-var(proc.{name}) var(txn.jobs) if {{ var(txn.jobs),sub(proc.{name}) -m int gt 0 }}
{_READY}
  http-check set-var(proc.{name}) res.body,json_query('$.waiting',"int"),add(check.running)
  server {name} {place} ssl verify required ca-file {replica.file} {_NAME} {_CHECK}"""


_HEAD: Final = f"""global
  # each of the 1000 clients takes two: its own, and the one to its replica's part of this process
  maxconn 2100
  # one thread: between looking a key up and noting its replica, no other request comes
  nbthread 1
  localpeer front
  stats socket unix@stats.sock mode 600 level admin expose-fd listeners
  tune.bufsize {_BUFFER}
  # how many jobs each replica has"""

_DEFAULTS: Final = """
defaults
  mode http
  maxconn 1000
  timeout connect 5s
  timeout http-request 30s
  timeout http-keep-alive 60s
  # an image may wait for others before it; a machine that is gone is noticed by keep-alive packets
  timeout server 1h
  # of a client that is to send or to take something, a handshake too; while it waits for an image it need not
  timeout client 1m
  option srvtcpka
  srvtcpka-idle 10s
  srvtcpka-intvl 5s
  srvtcpka-cnt 3
  # a client that goes away cancels what it asked for
  option abortonclose
  # one request a connection: after the first, HAProxy would close without a word where a replica fails,
  # and a browser would then send the request again by itself
  option httpclose"""

_PEERS: Final = """
# a new process learns from the one before it where each key went
peers own
  peer front unix@peers.sock"""

_FRONT: Final = """  acl ordering path /generate /jobs
  # whole, so that it can be sent again
  http-request wait-for-body time 30s if METH_POST ordering
  http-request del-header Forwarded
  http-response del-header Server
  http-response del-header Via"""

_GATEWAYS: Final = """
backend gateways
  balance leastconn
  retries 5
  option redispatch 1
  # what was not done, or may be done again
  retry-on 503
  acl ordering path /generate /jobs
  acl keyed req.hdr(Idempotency-Key) -m found
  # a key is its owner's: nobody else can say where it goes
  stick-table type binary len 20 size 100k expire 24h store gpt0 peers own
  http-request set-var(txn.key) req.hdr(Idempotency-Key) if keyed
  http-request set-var(txn.key) req.hdr(Authorization),concat(" ",txn.key) if keyed
  http-request track-sc0 var(txn.key),sha1 if keyed
  http-request set-var(txn.replica) sc0_get_gpt0 if keyed"""

_CHOOSE: Final = """  acl known var(txn.replica) -m int gt 0
  http-request set-var(txn.new) bool(true) if keyed !known or METH_POST ordering !known
  acl new var(txn.new) -m bool
  http-request set-var(txn.least) int(1000000)"""

_CHOSEN: Final = """  http-request sc-set-gpt0(0) var(txn.replica) if new keyed
  http-response wait-for-body time 5s if { status 503 }
  acl full res.body,json_query('$.error.type') -m str queue-full
  # another one, where the first has failed, or has no room
  http-response sc-set-gpt0(0) srv_id if { sc0_tracked }
  http-response sc-set-gpt0(0) 0 if { sc0_tracked } { status 503 } full
  http-response set-status 429 reason "Too Many Requests" if { status 503 } full"""

_ANSWERS: Final = """  retries 0
  http-request set-var(txn.again) bool(true) if among_others { req.hdr(Idempotency-Key) -m found }
  http-request set-var(txn.again) bool(true) if among_others METH_GET
  http-response set-var(txn.answered) bool(true)
  # 503 leads to another replica: from one without room, and where what broke off may be asked again
  acl full res.body,json_query('$.error.type') -m str queue-full
  http-response wait-for-body time 5s if { status 202 429 }
  http-response set-var(txn.jobs) res.body,json_query('$.position',"int"),add(1) if { status 202 }
  http-response set-var(txn.jobs) int(1000) if { status 429 } full
  http-response set-status 503 if among_others { status 429 } full
  http-after-response set-status 503 if { var(txn.again) -m bool } !{ var(txn.answered) -m bool }"""

_NAME: Final = "sni str(localhost) check-sni localhost verifyhost localhost"
"""Which every gateway's certificate has; from 3.3 on HAProxy would ask for the name that the client gave."""

_CHECK: Final = "check inter 2s fastinter 500ms fall 2 rise 1"

_READY: Final = """  option httpchk
  http-check send meth GET uri /ready ver HTTP/1.1 hdr Host gateway
  http-check expect status 200
  # once all of it is there
  http-check expect string '"running"'
  http-check set-var(check.running) res.body,json_query('$.running',"int")"""
