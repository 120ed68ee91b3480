import type { KubeObject } from '#api/object.ts';
import { resourceOf } from '#api/resources.ts';
import { structByKind, type StructType, type TypeRef } from '#api/schema.ts';
import type { Strategy } from '../registry/strategy.ts';

type Rules<T extends KubeObject> = Omit<Strategy<T>, 'resource'>;

/**
 * The strategy of one resource of the table. The registry holds strategies of many kinds in one map, so the kind's
 * own type ends here: the registry hands a strategy only objects that were decoded as its kind.
 */
export function defineStrategy<T extends KubeObject>(group: string, version: string, plural: string, rules: Rules<T>): Strategy {
  const strategy: Strategy<T> = { resource: resourceOf(group, version, plural), ...rules };
  return strategy as unknown as Strategy;
}

function zeroOf(type: TypeRef): unknown {
  switch (type.kind) {
    case 'int':
    case 'float':
      return 0;
    case 'bool':
      return false;
    case 'struct':
      return zeroStruct(type.type);
    case 'string':
      return '';
    default:
      return null;
  }
}
/** A struct's zero value as Go's encoder writes it: fields that it does not leave out when they are empty. */
function zeroStruct(type: StructType): Record<string, unknown> {
  const written = [...type.fields.values()].filter((field) => !field.omitEmpty && !field.pointer);
  return Object.fromEntries(written.map((field) => [field.name, zeroOf(field.type)]));
}
/** The status of an object that nobody has reported on yet: `{}`, `{"replicas":0}`, … */
export function emptyStatus<S>(group: string, version: string, kind: string): S {
  const status = structByKind(group, version, kind)?.fields.get('status')?.type;
  return (status?.kind === 'struct' ? zeroStruct(status.type) : {}) as S;
}
