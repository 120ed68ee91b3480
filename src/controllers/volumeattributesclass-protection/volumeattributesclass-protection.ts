/** Keeps VolumeAttributesClasses while volumes or claims name them (KEP-3751). Upstream's counterpart: volumeattributesclass-protection-controller. */
import type { PersistentVolume, PersistentVolumeClaim } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, VOLUME_ATTRIBUTES_CLASSES } from '#client/kinds.ts';
import { newController, source, type ControllerContext } from '../controller.ts';
import { protect } from '../protection/finalizer.ts';

const BY_CLASS = 'volumeAttributesClassName';

export function newVolumeAttributesClassProtectionController(context: ControllerContext): Component {
  const { client, informers } = context;
  const classes = informers.informer(VOLUME_ATTRIBUTES_CLASSES);
  const volumes = informers.informer(PERSISTENT_VOLUMES);
  const claims = informers.informer(PERSISTENT_VOLUME_CLAIMS);
  volumes.addIndex(BY_CLASS, classesOfVolume);
  claims.addIndex(BY_CLASS, classesOfClaim);
  const isUsed = (name: string) => volumes.byIndex(BY_CLASS, name).length > 0 || claims.byIndex(BY_CLASS, name).length > 0;
  return newController({
    name: 'volumeattributesclass-protection-controller',
    context,
    sources: (queue) => [
      source(context, queue, VOLUME_ATTRIBUTES_CLASSES, (c) => [nameOf(c)]),
      source(context, queue, PERSISTENT_VOLUMES, classesOfVolume),
      source(context, queue, PERSISTENT_VOLUME_CLAIMS, classesOfClaim),
    ],
    reconcile: (name, signal) => protect(classes.get('', name), { client, kind: VOLUME_ATTRIBUTES_CLASSES, finalizer: 'kubernetes.io/vac-protection', isUsed: () => isUsed(name) }, signal),
  });
}

function classesOfVolume({ spec }: PersistentVolume): string[] {
  return named(spec.volumeAttributesClassName);
}
/** The class that a claim asks for, the one that its volume has, and the one that it is being changed to. */
function classesOfClaim({ spec, status }: PersistentVolumeClaim): string[] {
  return named(spec.volumeAttributesClassName, status?.currentVolumeAttributesClassName, status?.modifyVolumeStatus?.targetVolumeAttributesClassName);
}
function named(...names: (string | undefined)[]): string[] {
  return [...new Set(names.flatMap((n) => (n ? [n] : [])))];
}
