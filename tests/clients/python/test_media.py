"""Images, audio and videos through every client form: forms and JSON, plain answers, streams and bytes."""

import openai
import pytest

from forms import done, events

PAINTER, EAR, VOICE, FILM = "gpt-image-1", "whisper", "tts", "sora-2"
SOUND = ("a.wav", b"RIFF\r\n--not a boundary\r\n\x00\xff" * 1000)


async def test_speech_is_bytes(sdk):
    answer = await done(sdk.client(VOICE).audio.speech.create(model=VOICE, input="Hello", voice="alloy"))
    assert len(answer.content) == 5 * 256


async def test_sound_is_transcribed_and_translated(sdk):
    audio = sdk.client(EAR).audio
    heard = f"I heard {len(SOUND[1])} bytes of a.wav."
    assert (await done(audio.transcriptions.create(model=EAR, file=SOUND))).text == heard
    assert (await done(audio.translations.create(model=EAR, file=SOUND))).text == heard
    assert (await done(audio.transcriptions.create(model=EAR, file=SOUND, response_format="text"))) == f"{heard}\n"
    stream = await events(audio.transcriptions.create(model=EAR, file=SOUND, stream=True))
    assert stream[-1].type == "transcript.text.done" and stream[-1].text == heard


async def test_images_are_made_and_edited(sdk):
    images = sdk.client(PAINTER).images
    made = await done(images.generate(model=PAINTER, prompt="A dot", n=2))
    assert len(made.data) == 2 and made.usage.output_tokens > 0
    stream = await events(images.generate(model=PAINTER, prompt="A dot", stream=True, partial_images=1))
    assert [event.type for event in stream] == ["image_generation.partial_image", "image_generation.completed"]
    picture = ("i.png", b"\x89PNG\r\n\x1a\n", "image/png")
    edited = await done(images.edit(model=PAINTER, prompt="A dot", image=picture))
    assert edited.data[0].b64_json


async def test_a_video_is_made_watched_and_deleted(sdk):
    videos = sdk.client(FILM).videos
    made = await done(videos.create(model=FILM, prompt="A dot", seconds="4"))
    assert made.model == FILM and made.status == "queued"
    assert made.id in [video.id for video in await events(videos.list(limit=20))]
    while (await done(videos.retrieve(made.id))).status != "completed":
        pass
    assert len((await done(videos.download_content(made.id))).content) == 400_000
    assert (await done(videos.delete(made.id))).deleted
    with pytest.raises(openai.NotFoundError):
        await done(videos.retrieve(made.id))
