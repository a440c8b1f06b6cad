"""Hosts on a plane."""

import pytest

from rovy.io.sim import Quality, SimNet
from rovy.io.simplane import Plane, fading, within

A, B, C = "192.0.2.1", "192.0.2.2", "192.0.2.3"


def test_links_come_and_go_with_distance():
    net = SimNet(connected=False)
    plane = Plane(net, within(150.0, Quality(latency=0.001, rate=1e8)))
    assert plane.place(A, 0.0, 0.0) == ([], [])
    assert plane.place(B, 150.0, 0.0) == ([A], [])
    assert plane.place(C, 0.0, 151.0) == ([], [])
    assert net.quality(A, B) == net.quality(B, A) == Quality(latency=0.001, rate=1e8)
    assert not net.quality(A, C).up
    assert plane.place(A, 0.0, 100.0) == ([C], [B])
    assert not net.quality(A, B).up
    assert not net.quality(B, A).up
    assert plane.near(A) == [C]
    plane.remove(C)
    assert plane.near(A) == []
    assert not net.quality(A, C).up


def test_quality_follows_distance():
    rule = fading(100.0, Quality(latency=0.001), loss=0.2)
    assert rule(0.0).loss == 0.0
    assert rule(50.0).loss == pytest.approx(0.05)
    assert rule(100.0).loss == pytest.approx(0.2)
    assert rule(100.1) is None
