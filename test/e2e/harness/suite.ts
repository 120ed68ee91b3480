/** One cluster for the tests of a file: started before the first, uninstalled after the last, kept after a failure when PODYARD_KEEP=1. */
import { after, before, test, type TestContext } from 'node:test';
import { TestCluster, type ClusterOptions } from './cluster.ts';
import { keepLeftover } from './leftovers.ts';

type Run = (cluster: TestCluster, t: TestContext) => Promise<void>;
export interface Suite {
  /** A test on the cluster. At a failure it shows Pods, events and the ends of the logs. */
  test(name: string, run: Run): void;
  test(name: string, options: { readonly timeout: number }, run: Run): void;
}

async function podNames(cluster: TestCluster | undefined): Promise<string[]> {
  const listed = await cluster?.kubectl('get pods -o name', { expect: 'any' }).catch(() => undefined);
  return (listed?.stdout ?? '').split('\n').filter(Boolean);
}

/** `options` may be made when they are needed: by a registry that must run first, for one. */
export function onCluster(options: ClusterOptions | (() => Promise<ClusterOptions>) = {}): Suite {
  let cluster: TestCluster | undefined;
  let failed = false;
  // Timers and idle connections of the product do not keep this process alive.
  let hold: NodeJS.Timeout;
  before(async () => {
    hold = setInterval(() => {}, 1 << 30);
    cluster = await TestCluster.start(typeof options === 'function' ? await options() : options);
  });
  after(async () => {
    clearInterval(hold);
    if (!cluster) return;
    if (failed && process.env['PODYARD_KEEP'] === '1') {
      await keepLeftover(cluster.dir);
      process.stderr.write(`the cluster is kept:\n  export KUBECONFIG=${cluster.kubeconfig}\n  ./podyard uninstall --yes --data-dir ${cluster.dataDir} && rm -r ${cluster.dir}\n`);
      return;
    }
    await cluster.uninstall();
  });
  return {
    test(name: string, optionsOrRun: { readonly timeout: number } | Run, maybeRun?: Run) {
      const run = typeof optionsOrRun === 'function' ? optionsOrRun : maybeRun!;
      test(name, typeof optionsOrRun === 'function' ? {} : optionsOrRun, async (t) => {
        const before = new Set(await podNames(cluster));
        try {
          await run(cluster!, t);
        } catch (error) {
          failed = true;
          process.stderr.write(`FAILED: ${name}: ${(error as Error).message}\n${await cluster!.report()}\n`);
          // What it left must not fail the tests after it.
          const left = (await podNames(cluster)).filter((pod) => !before.has(pod));
          if (left.length && process.env['PODYARD_KEEP'] !== '1') await cluster!.kubectl(['delete', '--now', ...left], { expect: 'any' }).catch(() => {});
          throw error;
        }
      });
    },
  };
}
