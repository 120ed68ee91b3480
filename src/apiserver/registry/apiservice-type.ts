/**
 * The type of APIService: kube-aggregator's types are not in the table of facts, which holds k8s.io/api alone.
 * Source: the API reference, apiregistration.k8s.io/v1 APIService.
 */
import { structByFactsName, type Field, type StructType, type TypeRef } from '#api/schema.ts';

const PACKAGE = 'kube-aggregator/pkg/apis/apiregistration/v1';
const STRING: TypeRef = { kind: 'string' };

interface Shape {
  readonly type: TypeRef;
  readonly pb?: number;
  readonly required?: boolean;
  readonly pointer?: boolean;
  readonly list?: Pick<Field, 'listType' | 'listMapKeys' | 'patchStrategy' | 'patchMergeKey'>;
}
function field(name: string, shape: Shape): [string, Field] {
  const { type, pb, required = false, pointer = false } = shape;
  return [name, { name, type, pointer, omitEmpty: !required, required, pbPath: pb === undefined ? [] : [pb], ...shape.list }];
}
function struct(goName: string, fields: readonly [string, Field][]): StructType {
  return { name: `io.k8s.${PACKAGE.replaceAll('/', '.')}.${goName}`, factsName: `${PACKAGE}.${goName}`, goName, atomic: false, fields: new Map(fields) };
}

const serviceReference = struct('ServiceReference', [
  field('namespace', { type: STRING, pb: 1 }),
  field('name', { type: STRING, pb: 2 }),
  field('port', { type: { kind: 'int', bits: 32 }, pb: 3, pointer: true }),
]);
const condition = struct('APIServiceCondition', [
  field('type', { type: STRING, pb: 1, required: true }),
  field('status', { type: STRING, pb: 2, required: true }),
  field('lastTransitionTime', { type: { kind: 'time' }, pb: 3 }),
  field('reason', { type: STRING, pb: 4 }),
  field('message', { type: STRING, pb: 5 }),
]);
const spec = struct('APIServiceSpec', [
  field('service', { type: { kind: 'struct', type: serviceReference }, pb: 1, pointer: true }),
  field('group', { type: STRING, pb: 2 }),
  field('version', { type: STRING, pb: 3 }),
  field('insecureSkipTLSVerify', { type: { kind: 'bool' }, pb: 4 }),
  field('caBundle', { type: { kind: 'bytes' }, pb: 5 }),
  field('groupPriorityMinimum', { type: { kind: 'int', bits: 32 }, pb: 7, required: true }),
  field('versionPriority', { type: { kind: 'int', bits: 32 }, pb: 8, required: true }),
]);
const status = struct('APIServiceStatus', [
  field('conditions', {
    type: { kind: 'list', item: { kind: 'struct', type: condition } },
    pb: 1,
    list: { listType: 'map', listMapKeys: ['type'], patchStrategy: ['merge'], patchMergeKey: 'type' },
  }),
]);

let made: StructType | undefined;
export function apiServiceType(): StructType {
  made ??= struct('APIService', [
    field('kind', { type: STRING }),
    field('apiVersion', { type: STRING }),
    field('metadata', { type: { kind: 'struct', type: structByFactsName('apimachinery/pkg/apis/meta/v1.ObjectMeta') }, pb: 1 }),
    field('spec', { type: { kind: 'struct', type: spec }, pb: 2 }),
    field('status', { type: { kind: 'struct', type: status }, pb: 3 }),
  ]);
  return made;
}
