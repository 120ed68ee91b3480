import type { Component } from '#base/component.ts';
import { REPLICA_SETS } from '#client/kinds.ts';
import { labelMatcherOf } from '#machinery/selectors.ts';
import type { ControllerContext } from '../controller.ts';
import { newReplicaController } from './replicas.ts';

export function newReplicaSetController(context: ControllerContext): Component {
  return newReplicaController(context, { name: 'replicaset-controller', eventSource: 'replicaset-controller', kind: REPLICA_SETS, selectorOf: (rs) => labelMatcherOf(rs.spec.selector), countsTerminating: true });
}
