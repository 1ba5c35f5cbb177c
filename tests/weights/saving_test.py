"""Weights that are saved for others have a card like those of the package."""

from refusion_jax.files.checksums import sha256_of
from refusion_jax.fusing.fuser import Fuser
from refusion_jax.weights.cards import read_card
from refusion_jax.weights.pretrained import (
    find_pretrained,
    pretrained_file,
    record_beside,
)
from refusion_jax.weights.store import save_weights

CONFIG = (
    '{"rule": "sharper", "alpha_fusion": 0.3, "seed": 3, "source_a": "/home/me/ir"}'
)


def test_the_card_of_unknown_weights_tells_what_their_file_tells(params, tmp_path):
    save_weights(
        tmp_path / "mine.safetensors",
        {"fusion": params},
        {"step": "65", "config": CONFIG},
    )
    fuser = Fuser(tmp_path / "mine.safetensors", output_range="source")
    file = fuser.save_pretrained(tmp_path / "saved")
    record = find_pretrained("weights", tmp_path / "saved")  # as if it were shipped
    assert pretrained_file("weights", tmp_path / "saved") == file
    assert (record.sha256, record.license) == (sha256_of(file), "unknown")
    assert record.settings == {"rule": "sharper", "alpha_fusion": 0.3}
    facts, body = read_card(record.card)
    assert facts["versions"]["jax"].count(".") == 2
    assert "The license is unknown" in body and "65 steps, seed=3." in body
    assert "/home/me" not in record.card.read_text()
    assert Fuser(tmp_path / "saved").rules.output_range == "source"


def test_a_card_goes_along_with_its_weights(shipped, tmp_path):
    card = shipped / "heat.card.md"
    card.write_text(card.read_text().replace("method:", "range: none\nmethod:"))
    file = Fuser.from_pretrained("heat").save_pretrained(tmp_path)
    record = find_pretrained("weights", tmp_path)
    assert (record.title, record.output_range) == ("Heat and light", "none")
    assert record.hints.look == "sensors" and record.sha256 == sha256_of(file)
    assert read_card(record.card)[1] == read_card(card)[1]


def test_a_card_of_other_weights_does_not_count(shipped, tmp_path):
    file = Fuser.from_pretrained("heat", output_range="none").save_pretrained(tmp_path)
    assert record_beside(file) is not None
    file.write_bytes((shipped / "scan.safetensors").read_bytes())  # as a run would
    assert record_beside(file) is None
    assert Fuser(tmp_path).rules.output_range == "stretch"
