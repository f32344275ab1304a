"""The fleet: every configured model with its backend, and what state each is in."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from pinnace.config import (
    AdapterMember,
    Config,
    FleetMember,
    OpenAIMember,
    ScriptedMember,
    VllmMember,
    adapter_slots,
)
from pinnace.errors import BackendError, BackendUnavailableError, UnknownModelError, WeightsError
from pinnace.models.adapters.backend import AdapterBackend, adapter_of
from pinnace.models.backend import Backend
from pinnace.models.card import ModelCard
from pinnace.models.energy.split import metered
from pinnace.models.gated import gated
from pinnace.models.member_status import MemberStatus
from pinnace.models.recarded import Recarded, engine_of
from pinnace.models.scripted import ScriptedBackend
from pinnace.models.supervisor import Supervisor, supervisor_of
from pinnace.models.voted import voted

log = logging.getLogger(__name__)


class Fleet:
    """Backends by name in configured order, with the state of each.

    One member that fails to start is left out and says why in `status`; the others serve. Local engines are
    supervised: one that dies is `restarting` until it serves again.
    """

    def __init__(self, backends: Mapping[str, Backend], absent: Mapping[str, str] | None = None) -> None:
        self.backends = dict(backends)
        self.status = {name: MemberStatus("starting") for name in self.backends}
        self.status |= {name: MemberStatus("absent", why) for name, why in (absent or {}).items()}

    @classmethod
    def from_config(cls, config: Config) -> "Fleet":
        """Make the backends of `router.yaml`; nothing is loaded until `start`."""
        return cls(make_backends(config, {}), config.absent)

    @classmethod
    def beside(
        cls, running: "Fleet", kept: Iterable[str], config: Config, *, recarded: Iterable[str] = ()
    ) -> "Fleet":
        """The same, with the engines of `running` for the members `kept`, which run on.

        :param recarded: those of `kept` whose price, bounds or whatever else is said of them have changed.
        """
        same = {name: running.backends[name] for name in kept}
        for member in config.fleet:
            if member.name in recarded and (engine := engine_of(same.get(member.name))) is not None:
                same[member.name] = around(member, Recarded(engine, member))
        fleet = cls(make_backends(config, same), config.absent)
        fleet.status |= {name: running.status[name] for name in same}
        return fleet

    async def start(self) -> None:
        """Start every member.

        Local engines start one after the other, since each takes all cores while it loads.

        :raises BackendError: when no member can serve, with every reason.
        """
        for name, why in ((name, s.detail) for name, s in self.status.items() if s.state == "absent"):
            log.info("fleet serves without %s: %s", name, why)
        for name, backend in sorted(self.backends.items(), key=_is_adapter):  # each after its base
            if self.status[name].state == "starting":
                await self._start_one(name, backend)
        if not self.is_ready():
            reasons = "; ".join(f"{name}: {status.detail}" for name, status in self.status.items())
            raise BackendError(f"no fleet member can serve: {reasons}")

    async def _start_one(self, name: str, backend: Backend) -> None:
        try:
            await backend.start()
        except (BackendError, WeightsError) as error:
            log.error("%s will not serve: %s", name, error)
            self.status[name] = MemberStatus("failed", str(error))
        else:
            log.info("%s is ready", name)
            self.status[name] = MemberStatus("ready")
            self._listen(name, backend)

    def take_over(self, running: "Fleet") -> None:
        """From now on hear of the members that are shared with `running`, in its place."""
        for name, backend in self.backends.items():
            if engine_of(running.backends.get(name)) is engine_of(backend):
                self.status[name] = running.status[name]
                self._listen(name, backend)

    def _listen(self, name: str, backend: Backend) -> None:
        """Have a supervised member tell of its deaths and restarts."""
        supervisor = supervisor_of(backend)
        if supervisor is not None:
            supervisor.tell = partial(self._hear, name)

    def _hear(self, name: str, status: MemberStatus) -> None:
        """A supervised member is in another state, and with it the adapters that answer in its engine."""
        engine = engine_of(self.backends[name])
        self.status[name] = status
        for other, backend in self.backends.items():
            adapter = adapter_of(backend)
            served = self.status[other].state in ("ready", "restarting")
            if adapter is not None and adapter.engine is engine and served:
                self.status[other] = status

    async def drain(self, *, beside: "Fleet | None" = None) -> None:
        """Let every member finish what runs, and give its resources back; those of `beside` run on."""
        running = ("ready", "starting", "restarting")
        ready = [name for name in self.backends if self.status[name].state in running]
        if beside is not None:
            ours, theirs = self.backends, beside.backends
            ready = [name for name in ready if engine_of(theirs.get(name)) is not engine_of(ours[name])]
        for is_adapter in (True, False):  # while their engines are there to be told
            names = [name for name in ready if (adapter_of(self.backends[name]) is not None) is is_adapter]
            await asyncio.gather(*(self.backends[name].drain() for name in names))
        self.status |= {name: MemberStatus("stopped") for name in ready}

    def is_ready(self) -> bool:
        """Whether at least one member serves."""
        return any(status.state == "ready" for status in self.status.values())

    def cards(self) -> tuple[ModelCard, ...]:
        """The cards of the members that serve, in configured order."""
        return tuple(b.card for name, b in self.backends.items() if self.status[name].state == "ready")

    def serving(self, name: str) -> Backend:
        """The backend of a member that serves.

        :raises UnknownModelError: when the fleet has no such member.
        :raises BackendUnavailableError: when it has, but the member cannot serve; says why.
        """
        status = self.status.get(name)
        if status is None:
            known = ", ".join(["auto", *self.backends])
            raise UnknownModelError(
                f"the fleet has no model {name!r}; it has: {known}", param="model", code="model_not_found"
            )
        if status.state != "ready":
            raise BackendUnavailableError(f"{name} is {status.state}: {status.detail or 'not ready yet'}")
        return self.backends[name]


def make_backends(config: Config, same: Mapping[str, Backend]) -> dict[str, Backend]:
    """The backends of the fleet in configured order; those in `same` are there already."""
    members = {member.name: member for member in config.fleet}
    made = dict(same)
    for name, member in members.items():
        if name not in made and not isinstance(member, AdapterMember):
            slots = adapter_slots(config.fleet, member) if isinstance(member, VllmMember) else 0
            made[name] = make_backend(member, slots)
    for name, member in members.items():
        if name not in made and isinstance(member, AdapterMember):
            base = members[member.base]
            assert isinstance(base, VllmMember), "the configuration has checked it"
            made[name] = _adapter(member.on(base), base, made[member.base])
    return {name: made[name] for name in members}


def make_backend(member: FleetMember, slots: int = 0) -> Backend:
    """The backend that runs `member`; the heavy ones are imported only when the fleet has them.

    :param slots: how many adapters it is to hold beside its own weights.
    """
    made = _vllm(member, slots) if isinstance(member, VllmMember) else _MAKERS[type(member)](member)
    return around(member, made)


def around(member: FleetMember, backend: Backend) -> Backend:
    """`backend` behind all that its section of `router.yaml` puts before it: places count every vote."""
    return voted(member, gated(member, metered(member, backend)))


def _adapter(member: AdapterMember, base: VllmMember, backend: Backend) -> Backend:
    engine = engine_of(backend)
    assert engine is not None, "a backend has an end"
    return around(member, AdapterBackend(member, base, engine))


def _is_adapter(item: tuple[str, Backend]) -> bool:
    return adapter_of(item[1]) is not None


def _vllm(member: VllmMember, slots: int) -> Backend:
    from pinnace.models.vllm_backend import VllmBackend

    return Supervisor(VllmBackend(member, slots))


def _openai(member: OpenAIMember) -> Backend:
    from pinnace.models.openai_backend import OpenAIBackend

    return OpenAIBackend(member)


_MAKERS: Mapping[type, Callable[..., Backend]] = {
    OpenAIMember: _openai,
    ScriptedMember: ScriptedBackend,
}
