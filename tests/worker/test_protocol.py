from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshlam_core.worker import protocol
from meshlam_core.worker.protocol import ProtocolError, decode_reply, decode_request, encode

MESSAGES = [
    protocol.Hello(1),
    protocol.Reconstruct("a", "Zoë's photo.jpg", "out.meshlam", protocol.ReconstructFields(face=2, device="cpu")),
    protocol.Record("d", "clip.mp4", protocol.RecordFields(camera="1", seconds=2.5)),
    protocol.Track("b", "clip.mp4", "track.json"),
    protocol.Faces("e", "group.jpg", "faces.png", protocol.FacesFields(device="cpu")),
    protocol.Render("c", "a.meshlam", "a.png", protocol.RenderFields(view="left", expression={"jawOpen": 0.5})),
    protocol.Cancel("a"),
    protocol.Shutdown(),
]
REPLIES = [
    protocol.Ready("0.1.0", "cpu", ["small"], {"face_landmarker": "ok"}),
    protocol.ProgressReport("a", "texture", 0.5, "unwrapping"),
    protocol.Done("a", {"warnings": [], "timings": {"total": 1.5}}),
    protocol.Failed(None, "protocol", "what?", "", ""),
    protocol.CancelledJob("a"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.type)
def test_a_request_survives_the_trip_over_one_line(message: protocol.Request) -> None:
    line = encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode_request(line) == message


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: reply.type)
def test_a_reply_survives_the_trip_over_one_line(reply: protocol.Reply) -> None:
    assert decode_reply(encode(reply)) == reply


def test_options_may_be_left_out() -> None:
    request = decode_request(b'{"type":"reconstruct","id":"a","photo":"p.jpg","out":"o.meshlam"}')
    assert request == protocol.Reconstruct("a", "p.jpg", "o.meshlam", protocol.ReconstructFields())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"not json", "Expected one JSON object"),
        (b"[1]", "Expected a JSON object, got list"),
        (b"{}", "Expected a type of hello"),
        (b'{"type":["hello"]}', "Expected a type of hello"),
        (b'{"type":"hello"}', "the field 'protocol' is missing"),
        (b'{"type":"hello","protocol":true}', "hello.protocol: expected int, got True"),
        (b'{"type":"hello","protocol":1,"colour":"red"}', "unknown field 'colour'"),
        (b'{"type":"cancel","id":7}', "cancel.id: expected str, got 7"),
        (b'{"type":"reconstruct","id":"a","photo":"p","out":"o","options":{"size":3}}', "unknown field 'size'"),
        (b'{"type":"reconstruct","id":"a","photo":"p","out":"o","options":[]}', "options: expected an object"),
        (b'{"type":"render","id":"a","avatar":"p","out":"o","options":{"expression":{"jawOpen":"1"}}}', "expression"),
        (b'{"type":"render","id":"a","avatar":"p","out":"o","options":{"expression":{"jawOpen":NaN}}}', "NaN"),
        (b'{"type":"done","id":"a","result":{}}', "Expected a type of hello"),
        (b"[" * 100_000, "Expected one JSON object"),
        (b" " * (protocol.MAX_LINE + 1), "at most"),
    ],
)
def test_a_line_that_is_no_message_is_refused_with_a_reason(line: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_request(line)
    assert reason in caught.value.message


def test_a_bad_message_with_an_id_keeps_the_id_for_the_answer() -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_request(b'{"type":"reconstruct","id":"job 7"}')
    assert caught.value.job == "job 7"


JSON = st.recursive(st.none() | st.text() | st.floats(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))


@settings(max_examples=200, deadline=None)
@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_line_raises_anything_but_a_protocol_error(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_request(line)
