import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { FakeClock, flushMicrotasks } from '#base/fake-clock.ts';
import { certificateRenewal, ensureCertificates, type ServerCertificates } from './certificates.ts';
import { newClusterConfig } from './config.ts';

const DAY = 86_400_000;
const end = ({ pki }: ServerCertificates): number => new X509Certificate(pki.apiServer.cert).validToDate.getTime();

test('a server that runs for years has certificates that hold; what cannot be made is tried again', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'podyard-certificates-'));
  const clock = new FakeClock(Date.now());
  const config = newClusterConfig({ dataDir });
  const used: ServerCertificates[] = [];
  const current = await ensureCertificates(config, clock);
  let fails = 1;
  // Making keys takes time that no fake clock drives: it stands still meanwhile.
  let making: Promise<unknown> | undefined;
  const renewal = certificateRenewal({
    clock, current,
    ensure: () => {
      const made = fails-- > 0 ? Promise.reject(new Error('the disk is full')) : ensureCertificates(config, clock);
      making = made.catch(() => {});
      return made;
    },
    use: async (certificates) => void used.push(certificates),
  });
  const until = async (count: number): Promise<void> => {
    while (used.length < count) {
      await clock.advance(DAY / 2);
      await making;
      await flushMicrotasks();
    }
  };
  try {
    await renewal.start(new AbortController().signal);
    await clock.advance(330 * DAY);
    assert.equal(making, undefined);
    await until(1);
    assert.ok(end(used[0]!) > end(current) + 300 * DAY);
    assert.equal(used[0]!.pki.ca.cert, current.pki.ca.cert);
    assert.notEqual(used[0]!.nodePki.serving.cert, current.nodePki.serving.cert);
    const before = end(used[0]!);
    await until(2);
    assert.ok(end(used[1]!) > before);
    assert.ok(clock.now() < before, 'before the last ones end');
  } finally {
    await renewal.stop();
    await rm(dataDir, { recursive: true });
  }
});
