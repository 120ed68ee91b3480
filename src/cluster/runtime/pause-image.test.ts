import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { hostArchitecture } from './oci-image.ts';
import { PAUSE_IMAGE, pauseImageArchive, pauseProgram } from './pause-image.ts';

const MACHINES = { amd64: 62, arm64: 183 } as const;

test('pauseProgram is a static executable of its architecture that asks for no executable stack', () => {
  for (const architecture of ['amd64', 'arm64'] as const) {
    const elf = pauseProgram(architecture);
    assert.equal(elf.readUInt32BE(0), 0x7f454c46);
    assert.equal(elf.readUInt16LE(16), 2, 'ET_EXEC');
    assert.equal(elf.readUInt16LE(18), MACHINES[architecture]);
    const headers = Array.from({ length: elf.readUInt16LE(56) }, (_, i) => elf.readUInt32LE(64 + i * 56));
    assert.ok(!headers.includes(3), 'an interpreter would make it dynamic');
    assert.ok(elf.length < 1024);
  }
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`pauseProgram sleeps until ${signal}, which ends it with exit code 0`, async () => {
    const dir = await mkdtemp(`${tmpdir()}/pause-test-`);
    try {
      await writeFile(`${dir}/pause`, pauseProgram(hostArchitecture()));
      await chmod(`${dir}/pause`, 0o755);
      const child = spawn(`${dir}/pause`, { stdio: 'ignore' });
      const exited = once(child, 'exit');
      // Bits of SIGINT, SIGTERM and SIGCHLD: it has installed its handlers.
      const caught = async () => BigInt(`0x${/^SigCgt:\s*(\w+)$/m.exec(await readFile(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? '0'}`);
      while (((await caught()) & 0x14002n) !== 0x14002n) await new Promise((resolve) => setImmediate(resolve));
      child.kill('SIGCHLD');
      child.kill(signal);
      assert.deepEqual(await exited, [0, null]);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });
}

test('pauseImageArchive is the image under its name, run by nobody in particular', () => {
  const extract = (name: string) => execFileSync('tar', ['--extract', '--to-stdout', '--file', '-', name], { input: pauseImageArchive('amd64'), encoding: 'utf8' });
  const index = JSON.parse(extract('index.json')) as { manifests: { digest: string; annotations: Record<string, string> }[] };
  assert.equal(index.manifests[0]?.annotations['io.containerd.image.name'], PAUSE_IMAGE);
  const manifest = JSON.parse(extract(`blobs/sha256/${index.manifests[0].digest.slice(7)}`)) as { config: { digest: string } };
  const { config } = JSON.parse(extract(`blobs/sha256/${manifest.config.digest.slice(7)}`)) as { config: object };
  assert.deepEqual(config, { Entrypoint: ['/pause'], User: '65535:65535' });
});
