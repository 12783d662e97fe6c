"""The Socket.IO protocol, revision 5, rule by rule, on a real server: examples/socketio_conformance.py.

Every rule is checked over long-polling, over WebSocket, and over a WebSocket that polling was upgraded to.

- connect: namespaces with and without payload, an unknown one, packets before CONNECT, no CONNECT in time
- disconnect: of one namespace, of the only one, and connecting again
- events and acks, in both directions
- binary events and acks, their attachments and placeholders
- malformed packets, each of which ends its session and no other
- an upgrade between events
"""

import json
from contextlib import suppress

import pytest

from tests.integration.socketio_wire import (
    CALM,
    TRANSPORTS,
    Endpoint,
    PollingSession,
    UpgradedSession,
    WebSocketSession,
    conformance,
)

MAX_PAYLOAD = 1_000_000


@pytest.fixture(scope="module")
def site():
    with conformance(**CALM) as server:
        yield server


@pytest.fixture(scope="module")
def quick_site():
    """The example with the settings that the public suites use."""
    with conformance() as server:
        yield server


@pytest.fixture
def endpoint(site):
    with Endpoint(site, "/socket.io/") as endpoint:
        yield endpoint


@pytest.fixture
def quick(quick_site):
    with Endpoint(quick_site, "/socket.io/") as endpoint:
        yield endpoint


@pytest.fixture(params=TRANSPORTS)
def session(request, endpoint):
    """An Engine.IO session that has sent nothing."""
    return TRANSPORTS[request.param](endpoint)


@pytest.fixture
def talk(session):
    """A session that is connected to the main namespace."""
    connect(session)
    return session


def connect(session, packet="40"):
    """Connect to a namespace and return the CONNECT packet that answered."""
    session.send(packet)
    answer = session.receive()
    assert split(session.receive())[1][0] == "auth"
    return answer


def split(packet):
    """(the part of a packet before its JSON, the JSON's value)"""
    at = min(found for bracket in "[{" if (found := packet.find(bracket)) >= 0)
    return packet[:at], json.loads(packet[at:])


def placeholder(number):
    return f'{{"_placeholder":true,"num":{json.dumps(number)}}}'


P0, P1 = placeholder(0), placeholder(1)
ONE, TWO = b"\x01\x02\x03", b"\x04\x05\x06"


def assert_alive(session):
    session.send('42["message","still here"]')
    assert session.receive() == '42["message-back","still here"]'


# -- connect

CONNECTS = {
    "main": ("40", "40", "42", {}),
    "main with a payload": ('40{"token":"123"}', "40", "42", {"token": "123"}),
    "custom": ("40/custom,", "40/custom,", "42/custom,", {}),
    "custom without its comma": ("40/custom", "40/custom,", "42/custom,", {}),
    "custom with a payload": ('40/custom,{"token":"abc"}', "40/custom,", "42/custom,", {"token": "abc"}),
    "a nested payload": ('40{"a":{"b":[1,null,"é"]}}', "40", "42", {"a": {"b": [1, None, "é"]}}),
}


@pytest.mark.parametrize(("packet", "head", "event_head", "auth"), CONNECTS.values(), ids=CONNECTS)
def test_connect(session, packet, head, event_head, auth):
    session.send(packet)
    answered, data = split(session.receive())
    assert answered == head
    assert data.keys() == {"sid"}
    assert isinstance(data["sid"], str) and data["sid"] != session.sid
    assert split(session.receive()) == (event_head, ["auth", auth])


def test_each_namespace_has_an_id_of_its_own(talk):
    assert len({split(connect(talk, "40/custom,"))[1]["sid"], talk.sid}) == 2


def test_namespaces_share_a_session_and_stay_apart(talk):
    connect(talk, "40/custom,")
    talk.send('42["message","main"]', '42/custom,["message","custom"]', '42["message","again"]')
    answers = [talk.receive() for _ in range(3)]
    assert sorted(answers) == sorted(
        [
            '42["message-back","main"]',
            '42/custom,["message-back","custom"]',
            '42["message-back","again"]',
        ]
    )
    assert answers.index('42["message-back","main"]') < answers.index('42["message-back","again"]')


UNKNOWN = {
    "40/random": '44/random,{"message":"Invalid namespace"}',
    "40/random,": '44/random,{"message":"Invalid namespace"}',
    '40/random,{"token":"1"}': '44/random,{"message":"Invalid namespace"}',
    "40/": None,
    "40/customs,": '44/customs,{"message":"Invalid namespace"}',
    "40/Custom,": '44/Custom,{"message":"Invalid namespace"}',
    "40/é,": '44/é,{"message":"Invalid namespace"}',
}


@pytest.mark.parametrize(("packet", "answer"), UNKNOWN.items(), ids=UNKNOWN)
def test_an_unknown_namespace_is_refused_and_the_session_lives(session, packet, answer):
    if answer is None:  # "/" is the main namespace
        assert split(connect(session, packet))[0] == "40"
    else:
        session.send(packet)
        assert session.receive() == answer
        connect(session)
    assert_alive(session)


BEFORE_CONNECT = {
    "an unknown type": ("4abc",),
    "no type": ("4",),
    "an event": ('42["message",1]',),
    "an event of a namespace": ('42/custom,["message",1]',),
    "an ack": ("431[1]",),
    "a disconnect": ("41",),
    "a connect error": ('44{"message":"no"}',),
    "a binary event": (f'451-["message",{P0}]', ONE),
    "an attachment": (ONE,),
    "a payload that is no object": ("40[1]",),
    "a payload that is text": ('40"token"',),
    "a payload of no JSON": ("40{token}",),
    "half a payload": ('40{"token":"1"',),
    "a namespace without a slash": ("40custom,",),
}


@pytest.mark.parametrize("packets", BEFORE_CONNECT.values(), ids=BEFORE_CONNECT)
def test_a_packet_before_connect_ends_the_session(session, packets):
    send_malformed(session, *packets)


def send_malformed(session, *packets):
    """Send packets, of which the server may refuse any, and check that the session ends."""
    with suppress(ConnectionError):
        session.send(*packets)
    session.wait_closed()


@pytest.mark.parametrize("kind", TRANSPORTS)
@pytest.mark.parametrize("packet", [None, "40/random"], ids=["silence", "unknown namespace"])
def test_a_session_without_a_namespace_is_closed_in_time(quick, kind, packet):
    session = TRANSPORTS[kind](quick)
    if packet:
        session.send(packet)
        assert session.receive().startswith("44")
    session.wait_closed()


@pytest.mark.parametrize("kind", TRANSPORTS)
def test_a_session_that_has_connected_stays(quick, kind):
    """Pings are counted instead of seconds: five of them take longer than the second that connecting may take."""
    session = TRANSPORTS[kind](quick)
    connect(session)
    for _ in range(5):
        assert next_ping(session) == "2"
        session.send("3")
    assert_alive(session)


def next_ping(session):
    return session.poll().body if isinstance(session, PollingSession) else session.ws.recv()


def test_a_second_connect_is_no_second_connection(talk):
    talk.send("40")
    assert_alive(talk)


# -- disconnect


def test_a_disconnect_is_not_answered_and_leaves_the_session(talk):
    talk.send("41")
    connect(talk, '40{"second":true}')
    assert_alive(talk)


def test_the_session_outlives_its_only_namespace(quick):
    session = WebSocketSession(quick)
    connect(session)
    session.send("41")
    assert session.ws.recv() == "2"
    session.send("3")
    connect(session)


@pytest.mark.parametrize("packet", ["41/custom", "41/custom,"])
def test_a_disconnect_from_one_namespace_leaves_the_other(talk, packet):
    connect(talk, "40/custom")
    talk.send(packet, '42["message","to the main one"]')
    assert talk.receive() == '42["message-back","to the main one"]'


def test_a_new_id_comes_with_each_connect(talk):
    ids = set()
    for _ in range(3):
        ids.add(split(connect(talk, "40/custom,"))[1]["sid"])
        talk.send("41/custom,")
    assert len(ids) == 3
    assert_alive(talk)


# -- events

EVENTS = {
    "mixed": '[%s,1,"2",{"3":[true]}]',
    "no arguments": "[%s]",
    "null": "[%s,null]",
    "numbers": "[%s,0,-1,1.5,9007199254740991]",
    "empty things": '[%s,"",[],{}]',
    "beyond ASCII": '[%s,"大家好 😀","\u2028"]',
    "escapes": '[%s,"\\"\\\\\\n\\u0001"]',
    "commas, brackets, digits": '[%s,"/custom,12[\\"x\\"]","451-"]',
    "the separator, escaped": '[%s,"a\\u001eb"]',
    "a deep one": "[%s," + "[" * 30 + "]" * 30 + "]",
    "a placeholder that is none": f"[%s,{P0}]",
    "a long one": '[%s,"' + "x" * 200_000 + '"]',
}


@pytest.mark.parametrize("prefix", ["", "/custom,"], ids=["main", "custom"])
@pytest.mark.parametrize("data", EVENTS.values(), ids=EVENTS)
def test_an_event_is_echoed(session, data, prefix):
    connect(session, f"40{prefix}")
    session.send(f"42{prefix}{data.replace('%s', json.dumps('message'))}")
    wanted = json.loads(data.replace("%s", json.dumps("message-back")))
    assert split(session.receive()) == (f"42{prefix}", wanted)


def test_an_event_is_echoed_to_the_letter(talk):
    talk.send('42["message",1,"2",{"3":[true]}]')
    assert talk.receive() == '42["message-back",1,"2",{"3":[true]}]'


def test_events_keep_their_order(talk):
    talk.send(*(f'42["message",{number}]' for number in range(200)))
    assert [talk.receive() for _ in range(200)] == [f'42["message-back",{number}]' for number in range(200)]


@pytest.mark.parametrize("packet", ['42["unhandled",1]', "42[5,1]", '42["",1]', '421["unhandled",1]'])
def test_an_event_without_a_handler_does_no_harm(talk, packet):
    talk.send(packet)
    talk.send('42["message","still here"]')
    answers = [talk.receive()]
    if answers[0].startswith("431["):
        answers = [talk.receive()]
    assert answers == ['42["message-back","still here"]']


# -- acks


@pytest.mark.parametrize("prefix", ["", "/custom,"], ids=["main", "custom"])
@pytest.mark.parametrize("number", [0, 456, 10**15 - 1])
def test_an_ack_carries_the_id_of_its_event(session, prefix, number):
    connect(session, f"40{prefix}")
    session.send(f'42{prefix}{number}["message-with-ack",1,"2",{{"3":[false]}}]')
    assert session.receive() == f'43{prefix}{number}[1,"2",{{"3":[false]}}]'


def test_an_ack_without_arguments_is_an_empty_list(talk):
    talk.send('427["message-with-ack"]')
    assert talk.receive() == "437[]"


def test_acks_come_in_order(talk):
    talk.send(*(f'42{number}["message-with-ack",{number}]' for number in range(100)))
    assert [talk.receive() for _ in range(100)] == [f"43{number}[{number}]" for number in range(100)]


def test_an_event_without_an_id_gets_no_ack(talk):
    talk.send('42["message-with-ack",1]')
    assert_alive(talk)


def ask_back(session, *packets, prefix=""):
    """Have the server emit an event with an ack; return the head with the ack's id, and the arguments."""
    session.send(*(packets or (f'42{prefix}["ask-back","how are you"]',)))
    head, data = split(session.receive())
    assert data[0] == "question"
    return head, data[1:]


@pytest.mark.parametrize("prefix", ["", "/custom,"], ids=["main", "custom"])
def test_the_server_is_acked(session, prefix):
    connect(session, f"40{prefix}")
    head, data = ask_back(session, prefix=prefix)
    assert head.startswith(f"42{prefix}") and data == ["how are you"]
    session.send(f'43{head[2:]}["fine",2,null]')
    assert session.receive() == f'42{prefix}["answered","fine",2,null]'


def test_the_server_is_acked_with_nothing(talk):
    head, _ = ask_back(talk)
    talk.send(f"43{head[2:]}[]")
    assert talk.receive() == '42["answered"]'


def test_the_server_is_acked_out_of_order(talk):
    first, second = ask_back(talk)[0], ask_back(talk)[0]
    assert first != second
    talk.send(f"43{second[2:]}[2]", f"43{first[2:]}[1]")
    assert [talk.receive(), talk.receive()] == ['42["answered",2]', '42["answered",1]']


def test_only_the_first_ack_of_a_known_id_counts(talk):
    head, _ = ask_back(talk)
    talk.send(f"43{head[2:]}[1]", f"43{head[2:]}[2]", "43999999[3]")
    assert talk.receive() == '42["answered",1]'
    assert_alive(talk)


def test_an_ack_of_another_namespace_does_not_count(talk):
    connect(talk, "40/custom,")
    head, _ = ask_back(talk)
    talk.send(f"43/custom,{head[2:]}[1]", f"43{head[2:]}[2]")
    assert talk.receive() == '42["answered",2]'


# -- binary


def exchange(session, text, *attachments, answers):
    session.send(text, *attachments)
    return [session.receive() for _ in range(answers)]


#: Name: (packets sent, packets that come back), with the prefix of the namespace as %s.
BINARY_EVENTS = {
    "two attachments": (
        (f'452-%s["message",{P0},{P1}]', ONE, TWO),
        [f'452-%s["message-back",{P0},{P1}]', ONE, TWO],
    ),
    "in another order": (
        (f'452-%s["message",{P1},{P0}]', ONE, TWO),
        [f'452-%s["message-back",{P0},{P1}]', TWO, ONE],
    ),
    "within objects and lists": (
        (f'452-%s["message",{{"a":[1,{P0}]}},[[{P1}]]]', ONE, TWO),
        [f'452-%s["message-back",{{"a":[1,{P0}]}},[[{P1}]]]', ONE, TWO],
    ),
    "an empty attachment": ((f'451-%s["message",{P0}]', b""), [f'451-%s["message-back",{P0}]', b""]),
    "bytes of every value": (
        (f'451-%s["message",{P0}]', bytes(range(256))),
        [f'451-%s["message-back",{P0}]', bytes(range(256))],
    ),
    "an ack": (
        (f'452-%s789["message-with-ack",{P0},{P1}]', ONE, TWO),
        [f"462-%s789[{P0},{P1}]", ONE, TWO],
    ),
}


@pytest.mark.parametrize("prefix", ["", "/custom,"], ids=["main", "custom"])
@pytest.mark.parametrize(("sent", "wanted"), BINARY_EVENTS.values(), ids=BINARY_EVENTS)
def test_attachments_are_echoed(session, sent, wanted, prefix):
    connect(session, f"40{prefix}")
    text, *attachments = sent
    text, wanted = text.replace("%s", prefix), [wanted[0].replace("%s", prefix), *wanted[1:]]
    assert exchange(session, text, *attachments, answers=len(wanted)) == wanted


def test_ten_attachments(talk):
    buffers = [bytes([number]) * number for number in range(10)]
    marks = ",".join(placeholder(number) for number in range(10))
    got = exchange(talk, f'4510-["message",{marks}]', *buffers, answers=11)
    assert got == [f'4510-["message-back",{marks}]', *buffers]


def test_a_large_attachment(talk):
    large = bytes(700_000)
    assert exchange(talk, f'451-["message",{P0}]', large, answers=2)[1] == large


def test_attachments_may_come_in_later_requests(endpoint):
    session = PollingSession(endpoint)
    connect(session)
    for packet in (f'452-["message",{P0},{P1}]', ONE, TWO):
        assert session.send(packet).body == "ok"
    assert [session.receive() for _ in range(3)] == [f'452-["message-back",{P0},{P1}]', ONE, TWO]


@pytest.mark.parametrize("packet", ["3", "6"], ids=["pong", "noop"])
def test_packets_of_the_transport_may_come_between_attachments(talk, packet):
    got = exchange(talk, f'452-["message",{P0},{P1}]', ONE, packet, TWO, answers=3)
    assert got == [f'452-["message-back",{P0},{P1}]', ONE, TWO]


def test_a_large_binary_event_and_others_around_it_keep_their_order(talk):
    talk.send('42["message",1]', f'451-["message",{P0}]', ONE, '42["message",2]')
    got = [talk.receive() for _ in range(4)]
    assert got == ['42["message-back",1]', f'451-["message-back",{P0}]', ONE, '42["message-back",2]']


def test_the_server_is_acked_with_attachments(talk):
    head, data = ask_back(talk, f'452-["ask-back",{P0},{P1}]', ONE, TWO)
    assert head.startswith("452-") and data == [json.loads(P0), json.loads(P1)]
    assert [talk.receive(), talk.receive()] == [ONE, TWO]
    number = head.removeprefix("452-")
    got = exchange(talk, f'461-{number}["fine",{P0}]', TWO, answers=2)
    assert got == [f'451-["answered","fine",{P0}]', TWO]


# -- malformed packets

BAD_JSON = {
    "no payload": "42",
    "null": "42null",
    "an object": "42{}",
    "a text": '42"message"',
    "a number behind the id": '421 2["message"]',
    "an empty list": "42[]",
    "half a list": '42["message"',
    "half a text": '42["mess',
    "a comma too many": '42["message",]',
    "something behind it": '42["message"]]',
    "single quotes": "42['message']",
    "NaN": '42["message",NaN]',
    "Infinity": '42["message",-Infinity]',
    "a name that is null": "42[null]",
    "a name that is a list": '42[["message"]]',
    "a name that is an object": '42[{"message":1}]',
    "a name that is true": "42[true]",
    "a deep grave": "42" + "[" * 100_000,
    "a deep grave, closed": "42" + "[" * 50_000 + "]" * 50_000,
    "control characters": '42["mess\x01age"]',
}
BAD_HEADS = {
    "unknown type of letters": "4abc",
    "unknown type of digits": '47["message"]',
    "no type": "4",
    "an id of letters": '42abc["message-with-ack",1,"2",{"3":[false]}]',
    "a negative id": '42-1["message-with-ack"]',
    "a broken id": '421.5["message-with-ack"]',
    "an id of foreign digits": '42१["message-with-ack"]',
    "an id with a space": '42 1["message-with-ack"]',
    "an id of no end": "42" + "9" * 5000 + '["message-with-ack"]',
    "an id in hexadecimal": '420x1["message-with-ack"]',
    "no comma behind the namespace": '42/custom["message"]',
    "a slash alone": "42/",
    "an ack of an object": "431{}",
    "an ack of nothing": "431",
    "a binary ack of nothing": "461-1",
    "a connect error": '44{"message":"no"}',
    "a namespace that was not joined": '42/custom,["message",1]',
    "an ack of a namespace that was not joined": "43/custom,1[1]",
    "a namespace that is unknown": '42/random,["message",1]',
}
BAD_COUNTS = {
    "no number of attachments": f'45-["message",{P0}]',
    "no dash": f'451["message",{P0}]',
    "letters": f'45a-["message",{P0}]',
    "a negative number": f'45-1-["message",{P0}]',
    "a broken number": f'451.5-["message",{P0}]',
    "foreign digits": f'45१-["message",{P0}]',
    "a space": f'45 1-["message",{P0}]',
    "beyond all bounds": f'452000000000-["message",{P0}]',
    "no payload": "451-",
    "an object": "451-{}",
}
BAD_ATTACHMENTS = {
    "an event instead of the attachment": (f'451-["message",{P0}]', '42["message",1]'),
    "a binary event instead of the attachment": (f'451-["message",{P0}]', f'451-["message",{P0}]'),
    "one too few": (f'452-["message",{P0},{P1}]', ONE, '42["message",1]'),
    "one without an event": (ONE,),
    "one that nothing asked for": ('42["message",1]', ONE),
}
BAD_PLACEHOLDERS = {
    "beyond the attachments": 1,
    "far beyond": 10**9,
    "negative": -1,
    "a text": "0",
    "a fraction": 0.5,
    "null": None,
    "true": True,
    "a list": [0],
}
PACKETS = {
    **{name: (packet,) for name, packet in {**BAD_JSON, **BAD_HEADS}.items()},
    **{f"attachments: {name}": (packet, ONE) for name, packet in BAD_COUNTS.items()},
    **{f"attachments: {name}": packets for name, packets in BAD_ATTACHMENTS.items()},
    "attachments: one too many": (f'451-["message",{P0}]', ONE, TWO),
    **{
        f"placeholder: {name}": (f'451-["message",{placeholder(number)}]', ONE)
        for name, number in BAD_PLACEHOLDERS.items()
    },
    "placeholder: none": ('451-["message",{"_placeholder":true}]', ONE),
}


@pytest.mark.parametrize("packets", PACKETS.values(), ids=PACKETS)
def test_a_malformed_packet_ends_the_session(talk, packets):
    send_malformed(talk, *packets)


def test_a_malformed_packet_ends_all_namespaces_of_its_session_only(endpoint):
    bystander, session = WebSocketSession(endpoint), WebSocketSession(endpoint)
    connect(bystander)
    connect(session)
    connect(session, "40/custom,")
    send_malformed(session, '42/custom,{"a":1}')
    assert_alive(bystander)


def test_packets_before_the_malformed_one_are_served(endpoint):
    session = WebSocketSession(endpoint)
    connect(session)
    session.send('421["message-with-ack",1]')
    assert session.receive() == "431[1]"
    send_malformed(session, "42{}")


def test_an_event_without_its_attachments_is_not_served(endpoint):
    """A session may end in the middle of a packet."""
    session = WebSocketSession(endpoint)
    connect(session)
    session.send(f'452-["message",{P0},{P1}]', ONE)
    session.ws.abort()
    while not endpoint.is_unknown(session.sid):
        pass


# -- an upgrade between events


def test_acks_come_once_and_in_order_across_the_upgrade(endpoint):
    session = PollingSession(endpoint)
    connect(session)
    session.send(*(f'42{number}["message-with-ack",{number}]' for number in range(100)))
    upgraded = UpgradedSession(endpoint, of=session)
    upgraded.send(*(f'42{number}["message-with-ack",{number}]' for number in range(100, 200)))
    assert [upgraded.receive() for _ in range(200)] == [f"43{number}[{number}]" for number in range(200)]


def test_an_ack_may_follow_the_upgrade(endpoint):
    session = PollingSession(endpoint)
    connect(session)
    head, _ = ask_back(session)
    upgraded = UpgradedSession(endpoint, of=session)
    upgraded.send(f'43{head[2:]}["late"]')
    assert upgraded.receive() == '42["answered","late"]'


def test_a_namespace_connected_on_polling_stays_after_the_upgrade(endpoint):
    session = PollingSession(endpoint)
    session.send("40")
    upgraded = UpgradedSession(endpoint, of=session)
    assert upgraded.receive().startswith("40{")
    assert upgraded.receive() == '42["auth",{}]'
    connect(upgraded, "40/custom,")


# -- the server afterwards


def test_no_client_made_the_server_stumble(site, quick_site):
    for server in (site, quick_site):
        assert server.get("/healthz")[0] == 200
        assert "Traceback" not in server.log()
