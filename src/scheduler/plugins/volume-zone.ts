/** Volumes that name their zone or region by labels, as those made before volumes had node affinity do. */
import type { Pod } from '#api/gen/core-v1.ts';
import { namespaceOf } from '#api/object.ts';
import { StateKey } from '../framework/cycle-state.ts';
import type { FrameworkHandle } from '../framework/handle.ts';
import type { Plugin } from '../framework/plugin.ts';
import { claimNameOf } from '../framework/pod-info.ts';
import { skip, unresolvable } from '../framework/status.ts';

const NAME = 'VolumeZone';
const SKIP = skip(NAME);
const REFUSED = unresolvable(NAME, 'node(s) had no available volume zone');
const KEYS: Readonly<Record<string, string>> = {
  'failure-domain.beta.kubernetes.io/zone': 'topology.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region': 'topology.kubernetes.io/region',
  'topology.kubernetes.io/zone': 'failure-domain.beta.kubernetes.io/zone',
  'topology.kubernetes.io/region': 'failure-domain.beta.kubernetes.io/region',
};
/** Several zones in one label. */
const SEPARATOR = '__';

interface Demand {
  readonly key: string;
  readonly values: ReadonlySet<string>;
}
const STATE = new StateKey<readonly Demand[]>(NAME);

export function newVolumeZone({ listers }: Pick<FrameworkHandle, 'listers'>): Plugin {
  function demandsOf(pod: Pod): Demand[] {
    return (pod.spec.volumes ?? []).flatMap((v) => {
      const name = claimNameOf(pod, v);
      const volumeName = name === undefined ? undefined : listers.persistentVolumeClaims.get(namespaceOf(pod), name)?.spec.volumeName;
      const labels = volumeName ? (listers.persistentVolumes.get('', volumeName)?.metadata.labels ?? {}) : {};
      return Object.keys(KEYS).flatMap((key) => (labels[key] === undefined ? [] : [{ key, values: new Set(labels[key].split(SEPARATOR)) }]));
    });
  }
  return {
    name: NAME,
    preFilter(state, { pod }) {
      const demands = demandsOf(pod);
      if (demands.length === 0) return { status: SKIP };
      state.set(STATE, demands);
      return undefined;
    },
    filter(state, _info, node) {
      const demands = state.get(STATE)!;
      // A cluster without zones has none to keep to.
      if (!Object.keys(KEYS).some((key) => node.label(key) !== undefined)) return undefined;
      return demands.every((d) => d.values.has(node.label(d.key) ?? node.label(KEYS[d.key]!) ?? '')) ? undefined : REFUSED;
    },
    events: () => [
      { resource: 'StorageClass', actions: ['Add'] },
      { resource: 'Node', actions: ['Add', 'UpdateLabel'] },
      { resource: 'PersistentVolumeClaim', actions: ['Add', 'Update'], hint: (pod, _old, claim) => (namespaceOf(claim!) === namespaceOf(pod) ? 'Queue' : 'Skip') },
      { resource: 'PersistentVolume', actions: ['Add', 'Update'] },
    ],
  };
}
