import type { Submariner } from '../../api/types.ts';
import { recordedSettings } from '../drift/recorded.ts';
import type { JoinSettings } from '../join/configuration.ts';
import type { UpgradeOptions } from './options.ts';

/** What is to be deployed: everything that is recorded, but for the images that are asked for. */
export function targetSettings(submariner: Submariner, options: UpgradeOptions, ownVersion: string): JoinSettings {
  const settings = recordedSettings(submariner, ownVersion);
  const { imageOverride = [], ...recorded } = settings.options;
  const { toVersion = ownVersion, repository = recorded.repository } = options;
  const given = options.imageOverride ?? [];
  const component = (text: string): string => text.split('=')[0] ?? '';
  const kept = imageOverride.filter((text) => !given.some((other) => component(other) === component(text)));
  const images = { version: toVersion, imageOverride: [...kept, ...given] };
  return {
    ...settings,
    options: { ...recorded, ...images, ...(repository === undefined ? {} : { repository }) },
  };
}
