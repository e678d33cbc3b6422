import { Input } from 'antd';
import { type ComponentProps, useState } from 'react';

type Props = Omit<ComponentProps<typeof Input.Search>, 'value' | 'onChange' | 'onSearch'> & {
  /** What is searched for now. */
  value: string;
  use: (text: string) => void;
};

/** A text to search for: taken once it is sent off, and shown anew when something else changes what is searched for. */
export function SearchField({ value, use, ...props }: Props) {
  const [text, setText] = useState(value);
  const [shown, setShown] = useState(value);
  if (value !== shown) {
    setShown(value);
    setText(value);
  }
  return <Input.Search {...props} allowClear value={text} onChange={({ target }) => setText(target.value)} onSearch={(sent) => use(sent.trim())} />;
}
