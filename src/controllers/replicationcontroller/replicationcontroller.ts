import type { Component } from '#base/component.ts';
import { REPLICATION_CONTROLLERS } from '#client/kinds.ts';
import { labelMatcherOf } from '#machinery/selectors.ts';
import type { ControllerContext } from '../controller.ts';
import { newReplicaController } from '../replicaset/replicas.ts';

/** A ReplicationController is a ReplicaSet whose selector is a plain map. */
export function newReplicationController(context: ControllerContext): Component {
  return newReplicaController(context, {
    name: 'replicationcontroller-controller', eventSource: 'replication-controller', kind: REPLICATION_CONTROLLERS, countsTerminating: false,
    selectorOf: ({ spec }) => labelMatcherOf(spec.selector === undefined ? undefined : { matchLabels: spec.selector }),
  });
}
