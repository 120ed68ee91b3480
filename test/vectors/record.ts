/**
 * Asks a reference API server what the vectors ask, and says where its answers differ from those that are recorded. It must be fresh for each
 * file: no requests were made of it before. See docs/contributing/compare-with-upstream.md.
 *
 *     tools/run-node test/vectors/record.ts --url https://127.0.0.1:6443 --token TOKEN [--write] test/vectors/apiserver/create.json
 */
import { readFile, writeFile } from 'node:fs/promises';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { Replay, type Scenario, type Vector } from './replay.ts';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { url: { type: 'string' }, token: { type: 'string' }, write: { type: 'boolean', default: false } } });
const [file] = positionals;
if (!values.url || !values.token || file === undefined || positionals.length > 1) {
  console.error('usage: record.ts --url URL --token TOKEN [--write] FILE');
  process.exitCode = 2;
} else process.exitCode = await record(file, values.url, values.token);

/** Resolves with the exit code: 1 when something differs and nothing was written. */
async function record(path: string, url: string, token: string): Promise<number> {
  const scenario = JSON.parse(await readFile(path, 'utf8')) as Scenario;
  // The reference is one of the caller's own, on this machine: its certificate is nobody's concern.
  const replay = new Replay({ url, tls: { rejectUnauthorized: false }, headers: { authorization: `Bearer ${token}`, 'user-agent': 'vectors/1' } });
  const steps: Vector[] = [];
  let different = 0;
  try {
    for (const { answer: recorded, ...step } of scenario.steps) {
      const answer = JSON.parse(JSON.stringify(await replay.answer(step, scenario))) as typeof recorded;
      if (recorded === undefined || isDeepStrictEqual(answer, recorded)) {
        steps.push(recorded ? { ...step, answer: recorded } : step);
        continue;
      }
      different++;
      console.log(`${step.name}: ${step.method} ${step.path}\n  recorded ${JSON.stringify(recorded)}\n  answered ${JSON.stringify(answer)}`);
      steps.push({ ...step, answer: answer! });
    }
  } finally {
    replay.close();
  }
  console.log(`${different} of ${steps.length} answers differ`);
  if (!values.write) return different > 0 ? 1 : 0;
  const { steps: _, ...head } = scenario;
  await writeFile(path, `{\n${JSON.stringify(head, undefined, 0).slice(1, -1)},\n"steps": [\n${steps.map((step) => JSON.stringify(step)).join(',\n')}\n]}\n`);
  return 0;
}
