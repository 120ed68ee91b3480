/**
 * `/storage`, which upstream's kubelet has not: directories for volumes of the built-in provisioner. POST with `directory`, a name, makes one and
 * answers with its `path`; DELETE with `path` removes it. 400 for what is not the node's to make or remove.
 */
import { ForeignPathError, type StorageDirectories } from '../volumes/storage-directories.ts';
import { jsonAnswer, textAnswer, type KubeletAnswer } from './request.ts';

export async function serveStorage(method: string, query: URLSearchParams, storage: StorageDirectories): Promise<KubeletAnswer> {
  try {
    if (method === 'POST') return jsonAnswer({ path: await storage.create(query.get('directory') ?? '') });
    await storage.remove(query.get('path') ?? '');
    return jsonAnswer({});
  } catch (err) {
    if (err instanceof ForeignPathError) return textAnswer(400, err.message);
    throw err;
  }
}
