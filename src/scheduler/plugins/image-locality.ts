/** Prefers nodes that have the Pod's images, the more so the larger they are and the more nodes have them. */
import type { Pod } from '#api/gen/core-v1.ts';
import type { FrameworkHandle } from '../framework/handle.ts';
import { MAX_NODE_SCORE, type Plugin } from '../framework/plugin.ts';

const NAME = 'ImageLocality';
const MB = 1024 * 1024;
const MIN_BYTES = 23 * MB;
const MAX_BYTES_PER_CONTAINER = 1000 * MB;

/** The name as nodes report it: with a tag. */
function normalized(image: string): string {
  return image.lastIndexOf(':') <= image.lastIndexOf('/') ? `${image}:latest` : image;
}
function imagesOf(pod: Pod): string[] {
  const { initContainers = [], containers, volumes = [] } = pod.spec;
  return [...initContainers, ...containers].map((c) => normalized(c.image ?? '')).concat(volumes.flatMap((v) => (v.image?.reference ? [normalized(v.image.reference)] : [])));
}

export function newImageLocality(handle: Pick<FrameworkHandle, 'snapshot'>): Plugin {
  return {
    name: NAME,
    score(_state, { pod }, node) {
      if (node.images.size === 0) return 0;
      const allNodes = handle.snapshot().nodes.length;
      const images = imagesOf(pod);
      let bytes = 0;
      for (const image of images) {
        const found = node.images.get(image);
        // Weighing by how common an image is keeps nodes that happen to have a rare one from drawing all its Pods.
        if (found) bytes += Math.trunc(found.sizeBytes * (found.nodes.size / allNodes));
      }
      const max = MAX_BYTES_PER_CONTAINER * images.length;
      return Math.trunc((MAX_NODE_SCORE * (Math.min(Math.max(bytes, MIN_BYTES), max) - MIN_BYTES)) / (max - MIN_BYTES));
    },
    events: () => [],
  };
}
