/** Files of a volume that hide one another. */
import type { Volume, VolumeProjection } from '#api/gen/core-v1.ts';

interface Placed {
  readonly path: string;
  /** What brings it; '' where the volume has one source. */
  readonly source: string;
}
const shown = ({ path, source }: Placed) => (source === '' ? JSON.stringify(path) : `${JSON.stringify(path)} (${source})`);
const within = (inner: string, outer: string) => `${inner}/`.startsWith(`${outer}/`);

function overlaps(files: readonly Placed[]): string[] {
  const placed = files.map(({ path, source }) => ({ path: path.replace(/\/+$/, ''), source })).filter(({ path }) => path !== '');
  return placed.flatMap((file, i) =>
    placed.slice(0, i).filter((other) => within(other.path, file.path) || within(file.path, other.path)).map((other) => `${shown(file)} with ${shown(other)}`));
}
const placed = (items: readonly { readonly path: string }[] | undefined, source = ''): Placed[] => (items ?? []).map(({ path }) => ({ path, source }));

function projectedFiles({ configMap, secret, downwardAPI, serviceAccountToken }: VolumeProjection): Placed[] {
  if (configMap?.items) return placed(configMap.items, `ConfigMap ${JSON.stringify(configMap.name ?? '')}`);
  if (secret?.items) return placed(secret.items, `Secret ${JSON.stringify(secret.name ?? '')}`);
  if (downwardAPI?.items) return placed(downwardAPI.items, 'DownwardAPI');
  return serviceAccountToken ? [{ path: serviceAccountToken.path, source: 'ServiceAccountToken' }] : [];
}
function volumeOverlaps({ name, configMap, secret, downwardAPI, projected }: Volume): string[] {
  const warn = (what: string, files: readonly Placed[]) => overlaps(files).map((text) => `volume ${JSON.stringify(name)} (${what}): overlapping paths: ${text}`);
  const sources = projected?.sources ?? [];
  return [
    ...warn(`ConfigMap ${JSON.stringify(configMap?.name ?? '')}`, placed(configMap?.items)), ...warn(`Secret ${JSON.stringify(secret?.secretName ?? '')}`, placed(secret?.items)),
    ...warn('DownwardAPI', placed(downwardAPI?.items)),
    ...sources.filter((source) => Object.keys(source).length === 0).map(() => `volume ${JSON.stringify(name)} (Projected) has no sources provided`),
    ...warn('Projected', sources.flatMap(projectedFiles)),
  ];
}
export function pathWarnings(volumes: readonly Volume[] | undefined): string[] {
  return (volumes ?? []).flatMap(volumeOverlaps);
}
