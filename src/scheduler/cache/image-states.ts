/** Which nodes have which images, and how large they are. */
import type { ContainerImage, Node } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import type { ImageState } from '../framework/node-info.ts';

const NONE: ReadonlyMap<string, ImageState> = new Map();

export class ImageStates {
  readonly #nodesOf = new Map<string, Set<string>>();
  readonly #ofNode = new Map<string, { images: readonly ContainerImage[] | undefined; states: Map<string, ImageState> }>();

  of(nodeName: string): ReadonlyMap<string, ImageState> {
    return this.#ofNode.get(nodeName)?.states ?? NONE;
  }
  set(node: Node): void {
    const name = nameOf(node);
    const images = node.status?.images;
    const before = this.#ofNode.get(name);
    // Heartbeats change a node often and its images seldom.
    if (before && JSON.stringify(before.images) === JSON.stringify(images)) return;
    this.remove(name);
    const states = new Map<string, ImageState>();
    for (const { names, sizeBytes } of images ?? []) {
      for (const image of names ?? []) {
        const nodes = this.#nodesOf.get(image) ?? new Set();
        this.#nodesOf.set(image, nodes.add(name));
        states.set(image, { sizeBytes: sizeBytes ?? 0, nodes });
      }
    }
    this.#ofNode.set(name, { images, states });
  }
  remove(nodeName: string): void {
    for (const image of this.#ofNode.get(nodeName)?.states.keys() ?? []) {
      const nodes = this.#nodesOf.get(image);
      nodes?.delete(nodeName);
      if (nodes?.size === 0) this.#nodesOf.delete(image);
    }
    this.#ofNode.delete(nodeName);
  }
}
