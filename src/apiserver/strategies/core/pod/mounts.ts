/** `volumeMounts` and `volumeDevices` of a container. */
import type { Volume, VolumeDevice, VolumeMount } from '#api/gen/core-v1.ts';
import { forbiddenField, invalidValue, notFoundField, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { each } from '../../field-checks.ts';
import { validateDescendingPath, validateNoBacksteps } from '../volume-paths.ts';
import type { AnyContainer } from './container-kinds.ts';

type Volumes = ReadonlyMap<string, Volume>;
const PROPAGATIONS = ['Bidirectional', 'HostToContainer', 'None'];

function validatePropagation(mount: VolumeMount, container: AnyContainer, path: FieldPath): FieldError[] {
  const mode = mount.mountPropagation;
  if (mode === undefined) return [];
  const errors = PROPAGATIONS.includes(mode) ? [] : [notSupported(path, mode, PROPAGATIONS)];
  if (mode === 'Bidirectional' && !container.securityContext?.privileged) {
    errors.push(forbiddenField(path, 'Bidirectional mount propagation is available only to privileged containers'));
  }
  return errors;
}
function validateRecursiveReadOnly(mount: VolumeMount, path: FieldPath): FieldError[] {
  const mode = mount.recursiveReadOnly;
  if (mode === undefined || mode === 'Disabled') return [];
  if (mode !== 'Enabled' && mode !== 'IfPossible') return [notSupported(path, mode, ['Disabled', 'Enabled', 'IfPossible'])];
  const errors = mount.readOnly ? [] : [forbiddenField(path, 'may only be specified when readOnly is true')];
  if (mount.mountPropagation !== undefined && mount.mountPropagation !== 'None') {
    errors.push(forbiddenField(path, 'may only be specified when mountPropagation is None or not specified'));
  }
  return errors;
}
/** Paths inside a volume; upstream names the list here, not the mount. */
function validateSubPaths(mount: VolumeMount, volume: Volume | undefined, at: FieldPath, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  if (mount.subPath) errors.push(...validateDescendingPath(mount.subPath, path.child('subPath')));
  if (!mount.subPathExpr) return errors;
  if (volume?.image) errors.unshift(invalidValue(at.child('subPathExpr'), mount.subPathExpr, 'not allowed in image volume sources'));
  if (mount.subPath) errors.push(invalidValue(at.child('subPathExpr'), mount.subPathExpr, 'subPathExpr and subPath are mutually exclusive'));
  return [...errors, ...validateDescendingPath(mount.subPathExpr, path.child('subPathExpr'))];
}

export function validateMounts(container: AnyContainer, volumes: Volumes, path: FieldPath): FieldError[] {
  const devices = container.volumeDevices ?? [];
  const points = new Set<string>();
  return each(container.volumeMounts, path, (mount, at) => {
    const { name = '', mountPath = '' } = mount;
    const errors: FieldError[] = [];
    if (name === '') errors.push(required(at.child('name')));
    if (!volumes.has(name)) errors.push(notFoundField(at.child('name'), name));
    if (mountPath === '') errors.push(required(at.child('mountPath')));
    if (points.has(mountPath)) errors.push(invalidValue(at.child('mountPath'), mountPath, 'must be unique'));
    points.add(mountPath);
    if (devices.some((d) => d.name === name)) errors.push(invalidValue(at.child('name'), name, 'must not already exist in volumeDevices'));
    if (devices.some((d) => d.devicePath === mountPath)) errors.push(invalidValue(at.child('mountPath'), mountPath, 'must not already exist as a path in volumeDevices'));
    return [
      ...errors,
      ...validateSubPaths(mount, volumes.get(name), at, path),
      ...validatePropagation(mount, container, path.child('mountPropagation')),
      ...validateRecursiveReadOnly(mount, path.child('recursiveReadOnly')),
    ];
  });
}

export function validateDevices(container: AnyContainer, volumes: Volumes, path: FieldPath): FieldError[] {
  const mounts = container.volumeMounts ?? [];
  const names = new Set<string>();
  const paths = new Set<string>();
  return each(container.volumeDevices, path, (device: VolumeDevice, at) => {
    const { name = '', devicePath = '' } = device;
    const volume = volumes.get(name);
    const errors: FieldError[] = [];
    if (name === '') errors.push(required(at.child('name')));
    if (names.has(name)) errors.push(invalidValue(at.child('name'), name, 'must be unique'));
    if (!volume) errors.push(notFoundField(at.child('name'), name));
    else if (!volume.persistentVolumeClaim && !volume.ephemeral) {
      errors.push(invalidValue(at.child('name'), name, 'can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode'));
    }
    if (devicePath === '') errors.push(required(at.child('devicePath')));
    if (paths.has(devicePath)) errors.push(invalidValue(at.child('devicePath'), devicePath, 'must be unique'));
    if (validateNoBacksteps(devicePath, at).length > 0) errors.push(invalidValue(at.child('devicePath'), devicePath, "can not contain backsteps ('..')"));
    else paths.add(devicePath);
    if (mounts.some((m) => m.name === name)) errors.push(invalidValue(at.child('name'), name, 'must not already exist in volumeMounts'));
    if (mounts.some((m) => m.mountPath === devicePath)) errors.push(invalidValue(at.child('devicePath'), devicePath, 'must not already exist as a path in volumeMounts'));
    if (name !== '') names.add(name);
    return errors;
  });
}
