import { type ComponentProps, lazy, Suspense } from 'react';

export interface Series {
  key: string;
  name: string;
  colour: string;
}

export type Point = { at: string } & Record<string, number | string>;

export interface ChartProps {
  label: string;
  points: Point[];
  series: Series[];
  kind: 'bars' | 'areas';
}

// The library of charts is large and not on every page.
const LazyTimeChart = lazy(async () => ({ default: (await import('./charts')).TimeChart }));
const LazySpark = lazy(async () => ({ default: (await import('./charts')).Spark }));

export const TimeChart = (props: ChartProps) => (
  <Suspense fallback={<div style={{ height: 260 }} />}>
    <LazyTimeChart {...props} />
  </Suspense>
);

export const Spark = (props: ComponentProps<typeof LazySpark>) => (
  <Suspense fallback={<div style={{ height: 48 }} />}>
    <LazySpark {...props} />
  </Suspense>
);

/** Told apart by their order, also by those who see few colours. */
export const PALETTE = ['#1677ff', '#13a8a8', '#d48806', '#9254de', '#cf1322', '#5b8c00', '#c41d7f', '#08979c', '#ad6800', '#595959'];
export const GOOD = '#389e0d';
export const BAD = '#cf1322';
export const OFF = '#8c8c8c';
