//! Keeps the Wi-Fi connected.

use core::future::poll_fn;
use core::task::Poll;

use esp_hal::peripherals::WIFI;
use esp_hal::time::{Duration, Instant};
use esp_println::println;
use esp_radio::wifi::sta::StationConfig;
use esp_radio::wifi::{AuthenticationMethodConfig, Config, ControllerConfig, Password, Ssid, WifiController};
use logic::Settings;

/// How long to wait after an attempt that failed.
const PAUSE: Duration = Duration::from_secs(2);

/// Starts the radio.
pub fn start(wifi: WIFI<'static>, settings: &Settings) -> WifiController<'static> {
    let ssid = Ssid::try_from(settings.ssid.as_str()).expect("at most 32 bytes");
    let password = Password::try_from(settings.password.as_str()).expect("at most 64 bytes");
    let authentication = match settings.password.as_str() {
        "" => AuthenticationMethodConfig::Open,
        _ => AuthenticationMethodConfig::Wpa2Personal(password),
    };
    let station = StationConfig::default().with_ssid(ssid).with_authentication(authentication);
    let config = ControllerConfig::default().with_initial_config(Config::Station(station));
    WifiController::new(wifi, config).unwrap_or_else(|error| panic!("the Wi-Fi does not start: {error:?}"))
}

/// Connects again and again. To be polled all the time; it wakes nobody.
pub async fn keep(mut controller: WifiController<'static>) {
    loop {
        match controller.connect_async().await {
            Ok(_) => {
                println!("the Wi-Fi is connected");
                if let Ok(why) = controller.wait_for_disconnect_async().await {
                    println!("the Wi-Fi is gone: {:?}", why.reason);
                }
            }
            Err(error) => println!("there is no Wi-Fi: {error:?}"),
        }
        pause().await;
    }
}

async fn pause() {
    let begun = Instant::now();
    poll_fn(|_| if begun.elapsed() < PAUSE { Poll::Pending } else { Poll::Ready(()) }).await;
}
