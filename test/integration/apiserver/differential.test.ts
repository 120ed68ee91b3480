/** The same requests as were made to a reference API server, and the same answers: `test/vectors/apiserver`. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Replay, type Answer, type Scenario } from '../../vectors/replay.ts';
import { startReferenceServer } from './reference.ts';

const folder = fileURLToPath(new URL('../../vectors/apiserver', import.meta.url));

/**
 * The reference has no reason for some requests that it cannot understand, and answers with a bare 500. No request is a fault of this
 * server: the same message comes as the refusal that it is.
 */
function ours(answer: Answer): Answer {
  const body = answer.body as { readonly kind?: string; readonly reason?: string } | null;
  return answer.code === 500 && body?.kind === 'Status' && body.reason === undefined ? { ...answer, code: 400, body: { ...body, code: 400, reason: 'BadRequest' } } : answer;
}

for (const file of readdirSync(folder).filter((name) => name.endsWith('.json')).toSorted()) {
  const scenario = JSON.parse(readFileSync(`${folder}/${file}`, 'utf8')) as Scenario;
  test(`${scenario.about}: as the reference answers`, async (t) => {
    const { fixture, target } = await startReferenceServer();
    const replay = new Replay(target);
    let compared = 0;
    try {
      for (const { answer: expected, ...step } of scenario.steps) {
        const answer = await replay.answer(step, scenario);
        if (!expected) continue;
        compared++;
        // Through JSON: members that are undefined are no members.
        assert.deepEqual(JSON.parse(JSON.stringify(answer)), ours(expected), `${step.name}: ${step.method} ${step.path}`);
      }
    } finally {
      replay.close();
      await fixture.close();
    }
    t.diagnostic(`${compared} answers`);
    assert.ok(compared > 0);
  });
}
