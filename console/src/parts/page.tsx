import { Breadcrumb } from 'antd';
import { type ReactNode, useEffect } from 'react';
import { Link } from 'react-router';

interface Props {
  title: string;
  /** What it lies within, outermost first. */
  within?: { text: string; to: string }[];
  actions?: ReactNode;
  children: ReactNode;
}

/** A page with its one heading, which is also the window's title. */
export function Page({ title, within = [], actions, children }: Props) {
  useEffect(() => {
    document.title = `${title} · Otaru`;
  }, [title]);
  return (
    <div className="page">
      {within.length > 0 && (
        <Breadcrumb items={within.map(({ text, to }) => ({ title: <Link to={to}>{text}</Link> }))} />
      )}
      <div className="page-head">
        <h1>{title}</h1>
        <div className="row">{actions}</div>
      </div>
      <div className="stack">{children}</div>
    </div>
  );
}
