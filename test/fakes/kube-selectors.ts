import type { KubeObject } from '../../src/kube/client.ts';
import { matchesSelector, parseLabelSelector } from '../../src/kube/selectors.ts';

/** True when an object's labels satisfy a label selector as kubectl writes them. */
export function matchesLabels(object: KubeObject, selector: string | undefined): boolean {
  return matchesSelector(parseLabelSelector(selector ?? ''), object.metadata.labels);
}

/** True when an object satisfies a field selector (`metadata.name=x,spec.nodeName!=y`). */
export function matchesFields(object: KubeObject, selector: string | undefined): boolean {
  return terms(selector).every((term) => {
    const [, path = '', operator = '=', value = ''] = /^([^=!]+)(==|=|!=)(.*)$/.exec(term) ?? [];
    const found = path
      .split('.')
      .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], object);
    return (((found ?? '') as string) === value) === (operator !== '!=');
  });
}

function terms(selector = ''): readonly string[] {
  return selector
    .split(',')
    .map((term) => term.trim())
    .filter((term) => term !== '');
}
