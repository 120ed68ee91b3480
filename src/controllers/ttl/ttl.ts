/** Tells kubelets, on their nodes, for how many seconds they may keep Secrets and ConfigMaps: longer in larger clusters. Upstream's counterpart: ttl-controller. */
import { nameOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { NODES } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, sourceWith, type ControllerContext } from '../controller.ts';

const ANNOTATION = 'node.alpha.kubernetes.io/ttl';
/** Cluster sizes that overlap, so that a node more or less does not change the answer back and forth. */
const STEPS = [{ min: 0, max: 100, seconds: 0 }, { min: 90, max: 500, seconds: 15 }, { min: 450, max: 1000, seconds: 30 }, { min: 900, max: 2000, seconds: 60 }, { min: 1800, max: Infinity, seconds: 300 }] as const;

/** The step for a number of nodes, coming from another. */
export function stepFor(count: number, before: number): number {
  let step = before;
  while (count > STEPS[step]!.max) step++;
  while (count < STEPS[step]!.min) step--;
  return step;
}

export function newTtlController(context: ControllerContext): Component {
  const { client, informers } = context;
  const nodes = informers.informer(NODES);
  let step = 0;
  return newController({
    name: 'ttl-controller',
    context,
    workers: 5,
    sources: (queue) => {
      const counted = () => {
        const next = stepFor(nodes.size, step);
        if (next === step) return;
        step = next;
        for (const node of nodes.list()) queue.add(nameOf(node));
      };
      return [sourceWith(context, NODES, {
        onAdd(node) {
          counted();
          queue.add(nameOf(node));
        },
        onUpdate: (old, node) => void (old.metadata.annotations?.[ANNOTATION] !== node.metadata.annotations?.[ANNOTATION] && queue.add(nameOf(node))),
        onDelete: counted,
      })];
    },
    async reconcile(name, signal) {
      const wanted = String(STEPS[step]!.seconds);
      const node = nodes.get('', name);
      if (!node || node.metadata.annotations?.[ANNOTATION] === wanted) return undefined;
      await client.of(NODES).patch('', name, 'application/strategic-merge-patch+json', { metadata: { annotations: { [ANNOTATION]: wanted } } }, { signal }).catch((err: unknown) => {
        if (!isReason(err, 'NotFound')) throw err;
      });
      return undefined;
    },
  });
}
