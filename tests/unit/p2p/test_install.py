"""What the P2P node needs is installed once, and what goes wrong is a sentence. npm is a script of ours, in Node."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import sys
from pathlib import Path

import pytest

from peersky.core.errors import NotSupported
from peersky.p2p import install as installing
from peersky.p2p.errors import NodeUnavailable
from peersky.p2p.program import node_binary

LOCK = "natives/package-lock.json"

NPM = """
const { mkdirSync, writeFileSync, appendFileSync } = require("node:fs");
appendFileSync(process.env.TEST_CALLS, JSON.stringify(process.argv.slice(2)) + "\\n");
if (process.env.TEST_FAILS) {
  process.stderr.write(process.env.TEST_FAILS);
  process.exit(1);
}
const places = ["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64", "ios-arm64"];
for (const name of ["one", "two"]) for (const place of places) {
  const folder = `node_modules/${name}/prebuilds/${place}`;
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/${name}.node`, `${name} for ${place}`);
}
if (process.env.TEST_HANGS) setInterval(() => {}, 1000);
"""


class Bench:
    """A bundle, an environment and a Node whose npm is ours."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.bundle, self.prefix, self.calls_file = folder / "bundle", folder / "venv", folder / "calls"
        (self.bundle / "natives").mkdir(parents=True)
        (self.bundle / "natives/package.json").write_text(json.dumps({"dependencies": {"one": "1", "two": "2"}}))
        (self.bundle / LOCK).write_text("{}")
        self.prefix.mkdir()
        self.node = folder / "home/bin/node"
        self.node.parent.mkdir(parents=True)
        self.node.symlink_to(node_binary())
        npm = folder / "home/lib/node_modules/npm/bin/npm-cli.js"
        npm.parent.mkdir(parents=True)
        npm.write_text(NPM)
        patch.setattr(installing, "BUNDLE", self.bundle)
        patch.setattr(installing, "node_binary", lambda: self.node)
        patch.setattr(sys, "prefix", str(self.prefix))
        patch.setattr("platformdirs.user_data_path", lambda _name: folder / "user")
        patch.setenv("TEST_CALLS", str(self.calls_file))
        self.said: list[str] = []

    async def install(self) -> tuple[str, ...]:
        return (await installing.install(self.said.append)).argv

    @property
    def calls(self) -> list[list[str]]:
        return (
            [json.loads(line) for line in self.calls_file.read_text().splitlines()] if self.calls_file.exists() else []
        )


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


async def test_only_this_platforms_addons_are_kept(bench: Bench) -> None:
    node, main, folder = await bench.install()
    assert (node, main) == (str(bench.node), str(bench.bundle / "main.mjs"))
    kept = sorted(path.name for path in bench.prefix.rglob("*") if path.is_file())
    assert kept == ["one.node", "two.node"]
    assert (bench.prefix / folder / "one.node").read_text().startswith("one for ")
    assert bench.said[0] == "Downloading what peer-to-peer pages need: 0 of 70 MB."


async def test_no_script_of_a_package_runs_and_the_lock_decides(bench: Bench) -> None:
    await bench.install()
    (call,) = bench.calls
    assert call[0] == "ci"
    assert "--ignore-scripts" in call


async def test_a_second_call_does_nothing(bench: Bench) -> None:
    first = await bench.install()
    bench.said.clear()
    assert await bench.install() == first
    assert len(bench.calls) == 1
    assert bench.said == []


async def test_another_lock_file_is_installed_beside_the_old_one(bench: Bench) -> None:
    first = await bench.install()
    (bench.bundle / LOCK).write_text("{ }")
    assert await bench.install() != first
    assert len(bench.calls) == 2


async def test_two_at_once_get_the_same(bench: Bench) -> None:
    first, second = await asyncio.gather(bench.install(), bench.install())
    assert first == second
    assert not list(bench.prefix.rglob("installing-*"))


async def test_an_environment_of_somebody_else_is_left_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, _mode: not path.is_relative_to(bench.prefix))
    folder = (await bench.install())[2]
    assert "user" in Path(folder).parts


@pytest.mark.parametrize(
    ("stderr", "sentence"),
    [
        ("npm error code ENOSPC\n", "the disk is full"),
        ("npm error code EINTEGRITY\n", "is not the one that was meant"),
        ("npm error code ENOTFOUND\n", r"could not download it \(ENOTFOUND\); check the connection"),
        ("something else\n", "check the connection and try again"),
    ],
)
async def test_what_npm_complains_of_is_a_sentence(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, stderr: str, sentence: str
) -> None:
    monkeypatch.setenv("TEST_FAILS", stderr)
    with pytest.raises(NodeUnavailable, match=sentence) as caught:
        await bench.install()
    assert caught.value.reason == "not_installed"
    assert not [path for path in bench.prefix.rglob("*") if path.is_file()]


async def test_after_a_failure_it_can_be_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TEST_FAILS", "npm error code ETIMEDOUT\n")
        with pytest.raises(NodeUnavailable):
            await bench.install()
    await bench.install()


async def test_leaving_ends_npm_and_cleans_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_HANGS", "1")
    started = asyncio.Event()
    work = asyncio.ensure_future(installing.install(lambda _sentence: started.set()))
    await asyncio.wait_for(started.wait(), 30)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert not list(bench.prefix.rglob("installing-*"))


async def test_too_little_room_is_said_before_the_download(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(1, 1, 1_000_000))
    with pytest.raises(NodeUnavailable, match="1 MB are free, 300 MB needed"):
        await bench.install()
    assert bench.calls == []


async def test_a_platform_without_addons_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(NotSupported, match="riscv64"):
        await bench.install()


async def test_a_package_without_this_platform_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Windows")
    monkeypatch.setattr("platform.machine", lambda: "AMD64")
    with pytest.raises(NodeUnavailable, match="one has nothing for win32-x64"):
        await bench.install()


def test_the_lock_pins_every_addon_with_a_digest_and_no_address() -> None:
    natives = installing.BUNDLE / "natives"
    wanted = json.loads((natives / "package.json").read_text())["dependencies"]
    locked = json.loads((natives / "package-lock.json").read_text())["packages"]
    for name, version in wanted.items():
        assert locked[f"node_modules/{name}"]["version"] == version
    assert all(entry["integrity"].startswith("sha512-") for path, entry in locked.items() if path)
    assert "resolved" not in (natives / "package-lock.json").read_text()


def test_the_bundle_was_built_with_the_same_addons() -> None:
    root = Path(installing.__file__).resolve().parents[3]
    inside = json.loads((root / "sidecar/package-lock.json").read_text())["packages"]
    for name, version in json.loads((root / "sidecar/natives/package.json").read_text())["dependencies"].items():
        assert inside[f"node_modules/{name}"]["version"] == version
    digest = hashlib.sha256((root / "sidecar/natives/package-lock.json").read_bytes()).hexdigest()
    assert hashlib.sha256((installing.BUNDLE / LOCK).read_bytes()).hexdigest() == digest
