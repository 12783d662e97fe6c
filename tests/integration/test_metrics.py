"""/metrics: what Prometheus reads of a real server, and that nobody reads it unasked."""

import re
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.named_clients import entering
from tests.servers import free_port
from tests.waiting import until


def read(url):
    """The samples at `url`, by name and labels."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_it_counts_clients_and_messages(make_server):
    server = make_server(env={"CHAT_METRICS": "1"})
    with entering(server) as enter:
        ann, bob = enter("ann", "bob")
        before = read(f"{server.url}/metrics")
        ann.send_json({"type": 2, "data": "hello", "id": "m1"})
        ann.send_json({"type": 3, "to": "", "data": "nobody"})
        bob.recv_json(type=2)
        ann.recv_json(type=0)
        after = read(f"{server.url}/metrics")
    assert after["chat_connections",] == 2
    assert after["chat_messages_in_total",] - before["chat_messages_in_total",] == 2
    # Two echoes, an Ack, an Error; a roster's push may lie between.
    assert after["chat_messages_out_total",] - before["chat_messages_out_total",] >= 4
    assert after["chat_bytes_out_total",] > before["chat_bytes_out_total",]
    assert after["chat_errors_total", "missing_to"] == 1
    assert after["chat_flush_bytes_count",] - before.get(("chat_flush_bytes_count",), 0) == 1
    assert after["chat_tick_seconds_count",] > before["chat_tick_seconds_count",]
    assert after["chat_outbox_bytes",] == 0
    assert after["chat_reactor_stalled",] == 0


def test_errors_of_refused_sockets_are_counted(make_server):
    server = make_server(env={"CHAT_METRICS": "1"})
    client = server.socket(token="nobody")
    assert client.wait_closed()[0] == 4401
    client.sock.close()
    assert read(f"{server.url}/metrics")["chat_errors_total", "token_invalid"] == 1


def test_without_the_setting_there_are_no_metrics(server):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{server.url}/metrics", timeout=10)
    refused.value.close()
    assert refused.value.code == 404


def test_each_worker_serves_its_own_metrics_on_a_port(make_server, valkey_server):
    port = free_port()
    env = {"CHAT_METRICS_PORT": port, "WEB_CONCURRENCY": 2, "CHAT_REDIS_URL": valkey_server.url}
    server = make_server(env={**env, "CHAT_REDIS_PREFIX": "metrics"})
    until(lambda: len(shown(server)) == 2)
    assert min(shown(server)) == port
    until(lambda: all(read(url)["chat_workers",] == 2 for url in shown(server).values()))


def shown(server):
    """{port: address of a worker's metrics}"""
    found = re.findall(r"metrics of this worker: (http://127.0.0.1:(\d+)/metrics)", server.log())
    return {int(port): url for url, port in found}
