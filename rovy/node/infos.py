"""Sessions as their users see them."""

from rovy.node.engine import Engine
from rovy.node.events import PathInfo, SessionInfo
from rovy.node.peerings import Peerings
from rovy.session.paths import PathState
from rovy.session.session import Session


def session_info(engine: Engine, peerings: Peerings, session: Session) -> SessionInfo:
    """A frozen picture of a session."""
    traffic = engine.dataplane.traffic(session.id)
    peering = peerings.by_peer.get(session.peer)
    kept = peerings.kept.get(session.peer)
    now = engine.now()
    keys = session.current
    return SessionInfo(
        session.id,
        session.peer,
        str(session.state),
        now - session.created,
        now - keys.created if keys else None,
        session.peer in peerings.kept,
        keys.initiator if keys else None,
        peering.slot if peering else 0,
        peering.their_slot if peering else 0,
        kept.name if kept else "",
        traffic.packets_sent,
        traffic.packets_received,
        traffic.bytes_sent,
        traffic.bytes_received,
        tuple(_path_info(engine, session, state) for state in session.paths.states.values()),
    )


def _path_info(engine: Engine, session: Session, state: PathState) -> PathInfo:
    traffic = engine.dataplane.path_traffic(session.id, state.path)
    return PathInfo(
        state.path,
        state.valid,
        state is session.paths.active,
        state is session.paths.warm,
        state.suspect,
        state.rtt,
        state.loss,
        state.mtu,
        traffic.packets_sent,
        traffic.packets_received,
        traffic.bytes_sent,
        traffic.bytes_received,
    )
