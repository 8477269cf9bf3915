import type { LabelSelector } from '../../kube/objects.ts';

type Labels = Readonly<Record<string, string>>;
type Expression = NonNullable<LabelSelector['matchExpressions']>[number];

/** True when `labels` carry every pair of `wanted`. */
export function hasLabels(labels: Labels | undefined, wanted: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => labels?.[key] === value);
}

/** True when one requirement of a selector (also of a node affinity) holds; an unknown operator never does. */
export function matchesExpression(expression: Expression, labels: Labels | undefined): boolean {
  const value = labels?.[expression.key];
  const listed = value !== undefined && (expression.values ?? []).includes(value);
  switch (expression.operator) {
    case 'In':
      return listed;
    case 'NotIn':
      return !listed;
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    default:
      return false;
  }
}

/** True when a label selector selects an object with these labels; the empty selector selects everything. */
export function matchesSelector(selector: LabelSelector, labels: Labels | undefined): boolean {
  return (
    hasLabels(labels, selector.matchLabels ?? {}) &&
    (selector.matchExpressions ?? []).every((expression) => matchesExpression(expression, labels))
  );
}
