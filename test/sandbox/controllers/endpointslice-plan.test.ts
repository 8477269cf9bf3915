import { describe, expect, test } from '@jest/globals';
import { desiredSlice } from '../../../src/sandbox/controllers/endpointslice-plan.ts';
import { pod, service } from './objects.ts';

const labels = { app: 'web' };

describe('EndpointSlice', () => {
  test('lists the selected pods that have an address, with their readiness', () => {
    const pods = [
      pod('b', { labels, ip: '10.130.1.3', node: 'n-1', ready: false }),
      pod('a', { labels, ip: '10.130.1.2', node: 'n-1' }),
      pod('leaving', { labels, ip: '10.130.1.4', node: 'n-1', terminating: true }),
      pod('no-address', { labels }),
      pod('other', { labels: { app: 'other' }, ip: '10.130.1.9' }),
      pod('ended', { labels, ip: '10.130.1.10', phase: 'Succeeded' }),
    ];
    const slice = desiredSlice(service(), pods);
    expect(slice?.metadata).toMatchObject({
      namespace: 'default',
      labels: {
        'kubernetes.io/service-name': 'web',
        'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
      },
      ownerReferences: [{ kind: 'Service', uid: 'uid-service' }],
    });
    expect(slice?.endpoints.map(({ addresses, conditions }) => [addresses[0], conditions])).toEqual([
      ['10.130.1.2', { ready: true, serving: true, terminating: false }],
      ['10.130.1.3', { ready: false, serving: false, terminating: false }],
      ['10.130.1.4', { ready: false, serving: true, terminating: true }],
    ]);
    expect(slice?.ports).toEqual([{ name: '', protocol: 'TCP', port: 8080 }]);
  });

  test('finds the number behind a named targetPort', () => {
    const containers = [{ name: 'web', ports: [{ name: 'http', containerPort: 8081 }] }];
    const pods = [pod('a', { labels, ip: '10.130.1.2', spec: { containers } })];
    const ports = [
      { name: 'web', port: 80, targetPort: 'http' },
      { name: 'gone', port: 81, targetPort: 'nobody' },
    ];
    expect(desiredSlice(service({ ports }), pods)?.ports).toEqual([{ name: 'web', protocol: 'TCP', port: 8081 }]);
  });

  test('leaves Services without selector to others', () => {
    expect(desiredSlice(service({ selector: {} }), [])).toBeUndefined();
  });

  test('publishes addresses that are not ready when the Service asks for it', () => {
    const pods = [pod('a', { labels, ip: '10.130.1.2', ready: false })];
    expect(desiredSlice(service({ publishNotReadyAddresses: true }), pods)?.endpoints[0]?.conditions?.ready).toBe(true);
  });
});
