use std::borrow::Cow;

use wire::credentials::{valid_device_name, valid_product_key};

/// The form by which a device registers over HTTP (docs/protocol.md 2.9), its names well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Form {
    /// `productKey`
    pub(crate) product_key: String,
    /// `deviceName`
    pub(crate) device_name: String,
    /// `random`
    pub(crate) random: String,
    /// `sign`
    pub(crate) sign: String,
    /// `signMethod` as it is written.
    pub(crate) sign_method: Option<String>,
}

impl Form {
    /// Reads a body of the type `application/x-www-form-urlencoded`. Of a field given twice the first counts, others
    /// are ignored. The error says what is missing.
    pub(crate) fn read(body: &[u8]) -> Result<Self, &'static str> {
        let [mut product_key, mut device_name, mut random, mut sign, mut sign_method] = [const { None }; 5];
        for (name, value) in form_urlencoded::parse(body) {
            let field = match &*name {
                "productKey" => &mut product_key,
                "deviceName" => &mut device_name,
                "random" => &mut random,
                "sign" => &mut sign,
                "signMethod" => &mut sign_method,
                _ => continue,
            };
            field.get_or_insert_with(|| Cow::into_owned(value));
        }
        let form = Self {
            product_key: product_key.ok_or("productKey is missing")?,
            device_name: device_name.ok_or("deviceName is missing")?,
            random: random.ok_or("random is missing")?,
            sign: sign.ok_or("sign is missing")?,
            sign_method,
        };
        if valid_product_key(&form.product_key) && valid_device_name(&form.device_name) {
            Ok(form)
        } else {
            Err("productKey or deviceName is none")
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_forms_of_official_sdks_are_read() {
        let c =
            b"productKey=a1TestPk001&deviceName=dev001&random=8Ygb7ULYh53B6OA&sign=AB&signMethod=hmacsha256";
        let form = Form::read(c).unwrap();
        assert_eq!((&*form.product_key, &*form.device_name), ("a1TestPk001", "dev001"));
        assert_eq!((&*form.random, &*form.sign), ("8Ygb7ULYh53B6OA", "AB"));
        assert_eq!(form.sign_method.as_deref(), Some("hmacsha256"));
        let encoded =
            Form::read(b"deviceName=a%40b%3Ac&random=x+y&sign=&productKey=pk&productKey=other&x=1").unwrap();
        assert_eq!((&*encoded.device_name, &*encoded.random, &*encoded.product_key), ("a@b:c", "x y", "pk"));
        assert_eq!((&*encoded.sign, encoded.sign_method), ("", None));
    }

    #[test]
    fn what_is_missing_is_named() {
        for (body, fault) in [
            ("", "productKey is missing"),
            ("{\"productKey\":\"pk\"}", "productKey is missing"),
            ("productKey=pk", "deviceName is missing"),
            ("productKey=pk&deviceName=dev001&sign=a", "random is missing"),
            ("productKey=pk&deviceName=dev001&random=a", "sign is missing"),
            ("productKey=pk&deviceName=a%26b%26c&random=a&sign=b", "productKey or deviceName is none"),
            ("productKey=p%00k&deviceName=dev001&random=a&sign=b", "productKey or deviceName is none"),
        ] {
            assert_eq!(Form::read(body.as_bytes()), Err(fault), "{body}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            key in "[A-Za-z0-9]{1,20}", name in "[A-Za-z0-9_@.:-]{4,32}", random in any::<String>(),
            sign in any::<String>(), sign_method in prop::option::of(any::<String>()), order in any::<bool>(),
        ) {
            let form = Form { product_key: key, device_name: name, random, sign, sign_method };
            let mut fields = vec![
                ("productKey", &form.product_key), ("deviceName", &form.device_name),
                ("random", &form.random), ("sign", &form.sign),
            ];
            fields.extend(form.sign_method.iter().map(|method| ("signMethod", method)));
            if order {
                fields.reverse();
            }
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            prop_assert_eq!(Form::read(body.as_bytes()), Ok(form));
        }

        #[test]
        fn any_bytes_are_taken_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            if let Ok(form) = Form::read(&bytes) {
                prop_assert!(wire::credentials::valid_device_name(&form.device_name));
            }
        }
    }
}
