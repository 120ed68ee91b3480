/** What the tutorials show that the cluster cannot do yet, and how one sees that it can. */
import type { TestCluster } from '../harness/cluster.ts';

export interface Waiting {
  /** The tutorial, and what it shows there. */
  readonly where: string;
  readonly what: string;
  /** The part that is missing. */
  readonly waitsFor: string;
  /** True once it works: then its row goes, and its walk-through comes. */
  works(cluster: TestCluster): Promise<boolean>;
}

const succeeds = async (cluster: TestCluster, args: readonly string[]): Promise<boolean> => (await cluster.kubectl(args, { expect: 'any' })).code === 0;
/** How long a controller would need at most, in a cluster at rest. */
const SOON = '--timeout=5s';

export const WAITING: readonly Waiting[] = [
  {
    where: 'what-runs-your-application', what: 'a PersistentVolumeClaim that exists lets its Pod start', waitsFor: 'volumes: a provisioner and the kubelet\'s part',
    works: (c) => succeeds(c, ['wait', '--for=jsonpath={.status.phase}=Bound', 'pvc/data', SOON]),
  },
  {
    where: 'managing-pods', what: 'replicas follow the demand', waitsFor: 'the horizontal Pod autoscaler and metrics',
    works: (c) => succeeds(c, ['top', 'pod', 'probe']),
  },
];
