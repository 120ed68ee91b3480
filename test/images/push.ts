/** Pushing an image to a registry (OCI distribution specification 1.1): blobs that are missing, then the manifest under its tag. */
import type { OciImage } from '#cluster/runtime/oci-image.ts';

export interface PushTarget {
  /** `http://127.0.0.1:5000` */
  readonly url: string;
  /** `library/nginx` */
  readonly repository: string;
  readonly tag: string;
}

export async function pushImage(target: PushTarget, image: OciImage): Promise<void> {
  const api = `${target.url}/v2/${target.repository}`;
  await Promise.all([...image.blobs].filter(([digest]) => digest !== image.manifest.digest).map(([digest, blob]) => pushBlob(api, digest, blob)));
  const manifest = image.blobs.get(image.manifest.digest)!;
  await expect(201, `${api}/manifests/${target.tag}`, { method: 'PUT', headers: { 'content-type': image.manifest.mediaType }, body: new Uint8Array(manifest) });
}

async function pushBlob(api: string, digest: string, blob: Buffer): Promise<void> {
  const known = await fetch(`${api}/blobs/${digest}`, { method: 'HEAD' });
  if (known.ok) return;
  const { headers } = await expect(202, `${api}/blobs/uploads/`, { method: 'POST' });
  const upload = new URL(headers.get('location') ?? '', api);
  upload.searchParams.set('digest', digest);
  await expect(201, upload.href, { method: 'PUT', headers: { 'content-type': 'application/octet-stream' }, body: new Uint8Array(blob) });
}

async function expect(status: number, url: string, init: RequestInit): Promise<Response> {
  const response = await fetch(url, init);
  if (response.status !== status) throw new Error(`pushing to ${url}: the registry answered ${response.status}: ${await response.text()}`);
  await response.arrayBuffer();
  return response;
}

/** `docker.io/library/nginx:1.28` → `library/nginx` and `1.28`: one registry stands for all, so the host is left out. */
export function repositoryOf(name: string): { repository: string; tag: string } {
  const [, repository = '', tag = ''] = /^[^/]+\/(.+):([^:/]+)$/.exec(name) ?? [];
  if (repository === '') throw new Error(`pushing image "${name}": the name must have a host and a tag`);
  return { repository, tag };
}
