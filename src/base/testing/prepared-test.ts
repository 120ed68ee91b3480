/** What the tests of one file begin with. A hook at the top of a file would run for every test of the whole unit run, which is one process. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

type Body = (t: TestContext) => Promise<void> | void;

/** A `test` whose bodies run after `prepare`; what `prepare` makes it takes back by `t.after`. */
export function preparedTest(prepare: Body): (name: string, body: Body) => void {
  return (name, body) => void test(name, async (t) => {
    await prepare(t);
    await body(t);
  });
}

/** An empty directory that is there as long as the test runs. `before` takes back what is in use in it. */
export async function temporaryDirectory(t: TestContext, name: string, before?: () => Promise<void> | void): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), `podyard-${name}-`));
  t.after(async () => {
    await before?.();
    await rm(dir, { recursive: true, force: true });
  });
  return dir;
}
