import { type Obj } from './json.ts';
import { type Registry, groupVersion } from './registry.ts';

const rootOf = (group: string, version: string): string => (group === '' ? 'api/v1' : `apis/${group}/${version}`);

const PARAMETERS = ['dryRun', 'fieldManager', 'fieldValidation', 'force'].map((name) => ({
  name,
  in: 'query',
  schema: { type: 'string', uniqueItems: true },
}));

/** The index of OpenAPI v3 documents, one a group and version. */
export function openApiIndex(registry: Registry): Obj {
  const roots = [...registry.groups()].flatMap(([group, versions]) =>
    versions.map((version) => rootOf(group, version)),
  );
  return { paths: Object.fromEntries(roots.map((root) => [root, { serverRelativeURL: `/openapi/v3/${root}` }])) };
}

/** The document of one group and version: what kubectl asks it for, which parameters a PATCH of each kind takes. */
export function openApiDocument(registry: Registry, root: string): Obj | undefined {
  const [version = '', group = ''] = root.split('/').slice(1).reverse();
  const paths = registry.of(group, version).map(({ plural, kind, namespaced }) => {
    const path = `/${root}/${namespaced ? 'namespaces/{namespace}/' : ''}${plural}/{name}`;
    const patch = { 'x-kubernetes-action': 'patch', 'x-kubernetes-group-version-kind': { group, version, kind } };
    return [path, { patch: { ...patch, parameters: PARAMETERS, responses: {} } }];
  });
  if (paths.length === 0 || rootOf(group, version) !== root) return undefined;
  const info = { title: 'Kubernetes', version: groupVersion(group, version) };
  return { openapi: '3.0.0', info, paths: Object.fromEntries(paths) as Obj, components: { schemas: {} } };
}
