/**
 * AppArmor profiles that older clients ask for by annotations, `container.apparmor.security.beta.kubernetes.io/NAME`, become the field that
 * came after them when a Pod is created; the annotation stays. Source: KEP-24, "version skew strategy".
 */
import type { AppArmorProfile, Container, Pod } from '#api/gen/core-v1.ts';
import type { Draft } from '#base/draft.ts';
import { fieldPath } from '#machinery/field-errors.ts';
import { validateAppArmor } from './security-context.ts';

export const APPARMOR_ANNOTATION = 'container.apparmor.security.beta.kubernetes.io/';
const LOCALHOST = 'localhost/';
const ANNOTATIONS = fieldPath('metadata', 'annotations');

/** Undefined where the text names no profile that the field could hold. */
function profileOf(text: string): AppArmorProfile | undefined {
  if (text === 'runtime/default') return { type: 'RuntimeDefault' };
  if (text === 'unconfined') return { type: 'Unconfined' };
  if (!text.startsWith(LOCALHOST)) return undefined;
  const profile: AppArmorProfile = { type: 'Localhost', localhostProfile: text.slice(LOCALHOST.length) };
  return validateAppArmor(profile, ANNOTATIONS).length === 0 ? profile : undefined;
}
function syncContainer(pod: Draft<Pod>, container: Draft<Pick<Container, 'name' | 'securityContext'>>, warn: (message: string) => void): void {
  const key = APPARMOR_ANNOTATION + container.name;
  const text = pod.metadata.annotations?.[key];
  if (text === undefined || container.securityContext?.appArmorProfile) return;
  const profile = profileOf(text);
  const ofPod = pod.spec.securityContext?.appArmorProfile;
  // What the whole Pod has already need not be said again.
  if (profile && profile.type === ofPod?.type && profile.localhostProfile === ofPod.localhostProfile) return;
  if (profile) (container.securityContext ??= {}).appArmorProfile = { ...profile };
  warn(`${ANNOTATIONS.key(key).toString()}: deprecated since v1.30; use the "appArmorProfile" field instead`);
}

/** Fills the containers' fields from the annotations of a Pod that is created, and warns of each that did so or could not. */
export function applyAppArmorAnnotations(pod: Draft<Pod>, warn: (message: string) => void): void {
  const { spec, metadata } = pod;
  if (!metadata.annotations || spec.os?.name === 'windows') return;
  for (const list of [spec.initContainers, spec.containers, spec.ephemeralContainers]) for (const container of list ?? []) syncContainer(pod, container, warn);
}
