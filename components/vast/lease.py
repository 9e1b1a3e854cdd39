"""What ends a machine when nobody looks: a watchdog on it, its limits, and what it is told and asked. Pure.

The watchdog is a loop of bash and curl that the machine's first script starts each time its container does.
It lives in `~/.fragua/lease`, which only root reads, and destroys or stops its own instance with the key that
Vast.ai gives each container. It adds up `/proc/uptime`, so that neither a wrong clock nor a restart moves a
limit; a container that was down is not billed for its GPU, and that time does not count. Files there:

- `limits`: as `Lease.limits` writes them; `renewed` is written at each renewal, and taken away once seen;
- `rate`, `aside`, `before`: what the machine costs an hour, the traffic that was foreseen when it was rented,
  and what earlier machines of the job cost, as far as was known. Changed limits leave them as they are;
- `count`: what was added up; `lock` is held while the watchdog runs, and a second one ends at once; a line
  to `wake` lets it look at once;
- `fetched`: the trainings whose checkpoints are all at home, by run; `finish` if nothing more is to come, and
  `stay` if more is. A training whose job `push-RUN` has ended is in its bucket: with 0 as a whole, with 2 as
  far as it came before it failed;
- `ended`: why it is ending the machine; `log`: each try.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import Field

from components.remote.job import WORKSPACE, stop_script
from components.spec.base import Spec

if TYPE_CHECKING:
    from components.spec.budget import Budget

POLL: Final = 15
"""Seconds between two looks of the watchdog; a quarter of the shortest limit where that is less."""
GRACE: Final = 20
"""Looks that a container which is started again lives at least, to be renewed in: five minutes."""
_FINISHED: Final = 900
"""Seconds without work after which a machine ends whose training is wholly at home."""
_BUSY_PERCENT: Final = 5
_BUSY_BYTES: Final = 20_000
"""A second; what arrives faster is a download or an upload, not somebody asking how things are."""
_MICRO: Final = 1_000_000
_HOUR: Final = 3600

Seconds = Annotated[float, Field(ge=0)]
"""0: off."""


class Lease(Spec):
    """What ends a machine by itself."""

    lease: Seconds = 86400
    """Since the last renewal."""
    idle: Seconds = 3600
    """Without work on a GPU, a prompt for ComfyUI, a download or an upload."""
    max_time: Seconds = 0
    """That the machine ran in all."""
    max_total: Annotated[float, Field(ge=0)] = 0
    """$ that the machine may cost; 0: off."""
    at_end: Literal["stop", "destroy"] = "stop"
    """What to do while checkpoints are on the machine alone; without such it is destroyed."""

    @classmethod
    def of(cls, budget: Budget, machines: int = 1) -> Self:
        """Return the lease that `budget` asks for on each of its `machines`, which share its dollars."""
        return cls(
            lease=0 if budget.lease == "off" else budget.lease,
            idle=0 if budget.idle == "off" else budget.idle,
            max_time=budget.max_time or 0,
            max_total=(budget.max_total or 0) / machines,
            at_end=budget.at_end,
        )

    def limits(self) -> str:
        """Return the limits as the watchdog reads them, in whole numbers."""
        times = [each for each in (self.lease, self.idle, self.max_time) if each]
        poll = max(1, min([POLL, *(int(each / 4) for each in times)]))
        budget = max(1, _counted(self.max_total)) if self.max_total else 0
        return (
            f"lease={self.lease:.0f} idle={self.idle:.0f} max_time={self.max_time:.0f} budget={budget} "
            f"at_end={self.at_end} poll={poll}"
        )


@dataclass(frozen=True)
class LeaseStatus:
    """What a machine's watchdog knew when it last looked.

    Attributes:
        alive: whether it runs.
        age: seconds that the machine has run.
        idle: seconds without work until then.
        spent: $ for that time.
        used: $ of `max_total`: those, its traffic set aside, and what earlier machines of the job cost.
        left: seconds until the first limit; None where all are off.
        by: that limit.
        ended: why the watchdog is ending the machine, and how far that is; empty if it is not.
    """

    alive: bool
    age: float
    idle: float
    spent: float
    used: float
    left: float | None
    by: str
    ended: str

    def over(self, later: float) -> str:
        """Say which ceiling is reached so many seconds `later`, give or take a look; empty if none is.

        A renewal moves neither `max_time` nor `max_total`: to rent anew would only go around them.
        """
        ceiling = self.by in ("max_time", "max_total") and self.left is not None
        return self.by if ceiling and (self.left or 0) <= later + 2 * POLL else ""


_WATCHDOG: Final = r"""cd ~/.fragua/lease && exec 9>> lock && flock -w 60 9 || exit 0
trap '' HUP
umask 077
[ -p wake ] || mkfifo wake
exec 8<> wake
jobs="WORKSPACE/.fragua/jobs"
age=0 since=0 quiet=0 spent=0 rx=0 asked= last=new tries=0 next=0 grace=0 code= rate=0 aside=0 before=0
now() { read -r up _ < /proc/uptime; up=${up%.*}; }
now
. ./own
. ./limits
. ./count 2>&-
case $last in new) last=$up ;; '') last=$up grace=$((up + GRACE * poll)) ;; esac
unfetched() {
  for dir in "$jobs"/train-*/; do
    run=${dir##*/train-}
    [ ! -d "$dir" ] || grep -qsxF "${run%-*}" fetched ||
      grep -qsx '[02]' "$jobs/push-${run%-*}/exit" || return 0
  done
  return 1
}
busy() {
  got=$(grep -sc 'got prompt' "$jobs/comfyui/log")
  [ "$got" = "$asked" ] || { asked=$got; return 0; }
  sum=0
  while read -r name got _; do
    case $name in lo:) ;; *:) sum=$((sum + got)) ;; esac
  done < /proc/net/dev
  got=$((sum - rx)) rx=$sum
  [ $got -le $((BYTES * (d + 1))) ] || return 0
  for use in $(timeout 20 nvidia-smi --query-gpu=utilization.gpu --format=csv,noheader,nounits 2>&- 9>&-); do
    [ "$use" -ge PERCENT ] 2>&- && return 0
  done
  return 1
}
over() { if [ "$1" -gt 0 ] && [ "$2" -ge "$1" ]; then why=$3; fi; }
halt() (
STOP)
end() {
  if [[ $what$code == destroy40[134] ]] || { [ $at_end = stop ] && unfetched; }; then
    what=stop
    set -- -X PUT -d '{"state": "stopped"}'
  else
    what=destroy
    set -- -X DELETE -d '{}'
  fi
  [ -e /etc/ssl/certs/ca-certificates.crt ] && command -v curl ||
    { apt-get update && apt-get install -y curl ca-certificates; } 9>&-
  code=$(curl -s -m 30 -o /dev/null -w '%{http_code}' -H @header -H 'Content-Type: application/json' \
    "$@" "$url/api/v0/instances/$id/" 9>&-)
  tries=$((tries + 1)) next=$((up + poll * (tries < 4 ? 1 << tries : 20)))
  echo "$why: $what, try $tries, HTTP $code" > ended
  echo "$age s: $(cat ended)" >> log
  case $code in 40[134]) ;; *) [ $tries -ge 3 ] ;; esac && halt
} > /dev/null 2>&1
while :; do
  now
  d=$((up > last ? up - last : 0)) last=$up
  for file in limits rate aside before; do . ./$file; done 2>&-
  age=$((age + d)) since=$((since + d)) quiet=$((quiet + d)) spent=$((spent + d * rate))
  mv renewed seen 2>&- && . ./seen
  [ $d -gt 0 ] && busy && quiet=0
  most=$idle why=
  if { [ -e finish ] || { [ ! -e stay ] && grep -qsx 0 "$jobs"/push-*/exit; }; } && ! unfetched &&
    [ $((idle == 0 || idle > FINISHED)) = 1 ]; then most=FINISHED; fi
  echo "age=$age since=$since quiet=$quiet spent=$spent rx=$rx asked=$asked last=$last most=$most" > new &&
    mv new count
  over $lease $since "not renewed for $since s"
  over $most $quiet "idle for $quiet s"
  over $max_time $age "max_time is over"
  over $budget $((spent + aside + before)) "max_total is spent"
  if [ ! "$why" ]; then
    tries=0 next=0 code=
    rm -f ended
  elif [ $up -ge $next ] && [ $up -ge $grace ]; then
    end
  fi
  read -r -t $poll -u 8 _ || [ $? -gt 128 ] || sleep $poll 9>&-
done
"""
"""Words in capitals are replaced: the braces of Python and of bash do not mix."""

_KEEPER: Final = "setsid bash -c 'until bash watchdog; do sleep 5; done' > /dev/null 2>&1 < /dev/null &"


def start_script(limits: str, url: str, rate: float = 0, aside: float = 0, before: float = 0) -> str:
    """Return what a container has to run first each time it starts; limits that are there already stay.

    Args:
        limits: as `Lease.limits` returns them.
        url: base URL of the API.
        rate: $/h of the machine while it runs, GPUs and disk.
        aside: $ of `max_total` that are spent otherwise, such as on traffic.
        before: $ of it that earlier machines cost.
    """
    own = f"id=${{CONTAINER_ID:-${{VAST_CONTAINERLABEL#C.}}}} url={shlex.quote(url)}"
    return f"""(umask 077
mkdir -p ~/.fragua/lease
cd ~/.fragua/lease
put() {{ cat > "$1.new" && mv "$1.new" "$1"; }}
if [ ! -e limits ]; then
echo {_rate(rate)} | put rate
echo aside={_counted(aside)} | put aside
echo before={_counted(before)} | put before
echo {shlex.quote(limits)} | put limits
fi
echo "{own}" | put own
echo "Authorization: Bearer $CONTAINER_API_KEY" | put header
[ ! -e count ] || echo last= >> count
put watchdog <<'END'
{_watchdog()}END
{_KEEPER})
"""


def renew_script(
    limits: str = "", *, rate: float | None = None, before: float = 0, used: bool = False
) -> str:
    """Return a script that renews the lease, and starts the watchdog again where it was killed.

    Args:
        limits: in place of those before, as `Lease.limits` returns them; empty to keep them.
        rate: $/h of the machine from now, GPUs and disk; None to keep it.
        before: $ that the run cost on earlier machines; less than what was told before changes nothing.
        used: whether a person says that the machine is in use: then it was not idle either.
    """
    told = {"limits": limits, "rate": "" if rate is None else _rate(rate)}
    change = "\n".join(
        f"echo {shlex.quote(text)} > {name}.new\nmv {name}.new {name}" for name, text in told.items() if text
    )
    return f"""cd ~/.fragua/lease 2> /dev/null || exit 0
umask 077
before=0
[ ! -e before ] || . ./before
if [ {_counted(before)} -gt $before ]; then
echo before={_counted(before)} > before.new
mv before.new before
fi
{change}
echo since=0 {"quiet=0" if used else ""} > renewed.new
mv renewed.new renewed
[ ! -p wake ] || echo 1<> wake
if flock -n lock true; then {_KEEPER} fi
"""


def fetched_script(run: str, *, ends: bool = True) -> str:
    """Return a script that notes that all checkpoints of a training are at home.

    Args:
        run: the training's.
        ends: whether nothing else is to come: then the machine is destroyed once it was idle for 15 minutes.
    """
    return f"""cd ~/.fragua/lease 2> /dev/null || exit 0
umask 077
grep -qxF {shlex.quote(run)} fetched 2> /dev/null || echo {shlex.quote(run)} >> fetched
{": > finish; rm -f stay" if ends else ": > stay; rm -f finish"}
"""


def status_script() -> str:
    """Return a script that prints what `parse_status` reads; nothing on a machine without a watchdog."""
    return """cd ~/.fragua/lease 2> /dev/null || exit 0
cat limits rate aside before count 2> /dev/null
if (exec 9>> lock && flock -n 9); then echo alive=0; else echo alive=1; fi
[ ! -e ended ] || { echo; cat ended; }
"""


def parse_status(output: str) -> LeaseStatus | None:
    """Read what `status_script` printed; None where the machine was rented without a lease."""
    words, _, ended = output.partition("\n\n")
    if not words:
        return None
    said = dict(word.split("=", 1) for word in words.split())
    number = {name: int(said.get(name) or 0) for name in _NUMBERS}
    used = number["spent"] + number["aside"] + number["before"]
    limits = [
        ("lease", number["lease"], number["since"], 1),
        ("idle", number["most"] or number["idle"], number["quiet"], 1),
        ("max_time", number["max_time"], number["age"], 1),
        ("max_total", number["budget"], used, number["rate"]),
    ]
    left = [(max(0, most - now) / each, name) for name, most, now, each in limits if most and each]
    first, by = min(left, default=(None, ""))
    return LeaseStatus(
        alive=said.get("alive") == "1",
        age=number["age"],
        idle=number["quiet"],
        spent=number["spent"] / _MICRO / _HOUR,
        used=used / _MICRO / _HOUR,
        left=first,
        by=by,
        ended=ended.strip(),
    )


_NUMBERS: Final = (
    *("lease", "idle", "most", "max_time", "budget", "rate"),
    *("age", "since", "quiet", "spent", "aside", "before"),
)


def _counted(dollars: float) -> int:
    return int(dollars * _MICRO * _HOUR)


def _rate(dollars: float) -> str:
    return f"rate={dollars * _MICRO:.0f}"


def _watchdog() -> str:
    text = _WATCHDOG.replace("WORKSPACE", WORKSPACE).replace("STOP", stop_script("*"))
    for word, number in (
        ("GRACE", GRACE),
        ("BYTES", _BUSY_BYTES),
        ("PERCENT", _BUSY_PERCENT),
        ("FINISHED", _FINISHED),
    ):
        text = text.replace(word, str(number))
    return text
