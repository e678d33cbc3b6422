import { Button, Upload } from 'antd';

import { useText } from '../texts';

/** Reads a CSV file of the operator's, which goes nowhere by that. */
export function CsvFile({ use }: { use: (text: string) => void }) {
  const { t } = useText();
  return (
    <Upload
      accept=".csv,text/csv,text/plain"
      showUploadList={false}
      beforeUpload={(file) => {
        void file.text().then(use);
        return false;
      }}
    >
      <Button>{t('chooseFile')}</Button>
    </Upload>
  );
}
