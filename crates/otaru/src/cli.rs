//! The command line.

use std::process::ExitCode;

use clap::{FromArgMatches as _, Parser, Subcommand};
use otaru::settings::layers::Parsed;
use otaru::settings::{self, Data};

use crate::client::Client;
use crate::commands::{
    backup, certs, config, device, events, frame, gateway, group, job, module, package, product, sim, stats,
    status, task,
};
use crate::demo::{self, Demo};
use crate::output;
use crate::serve::{self, Serve};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused, or failed on the way; `job watch`: not every device succeeded; `sim`: not proved
  2  the command line or a setting is wrong
  3  the platform cannot be reached
  4  the update of `device run --once` failed
  5  the update of `device run --once` was cancelled";

/// Firmware updates over the air, on your own machine, for devices that speak Alibaba Cloud IoT's OTA protocol.
#[derive(Parser)]
#[command(name = "otaru", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

/// Which platform is meant.
#[derive(clap::Args, Clone)]
pub(crate) struct Connection {
    #[command(flatten)]
    pub(crate) data: Data,
    /// Where the platform answers operators
    #[arg(
        long,
        value_name = "URL",
        env = "OTARU_URL",
        default_value = "http://127.0.0.1:8080",
        global = true,
        help_heading = "Platform"
    )]
    pub(crate) url: String,
    /// The administrator's token [default: from the data folder]
    #[arg(
        long,
        value_name = "TOKEN",
        env = "OTARU_TOKEN",
        hide_env_values = true,
        global = true,
        help_heading = "Platform"
    )]
    pub(crate) token: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// See the whole story in this terminal: platform, ten devices, updates, and a place for your own device
    Demo(Demo),
    /// Run the platform
    Serve(Box<Serve>),
    /// Products: devices of one kind
    #[command(subcommand)]
    Product(product::Command),
    /// Devices, and their connection values
    #[command(subcommand)]
    Device(device::Command),
    /// Gateways: the sub-devices that belong to them
    #[command(subcommand)]
    Gateway(gateway::Command),
    /// Groups of devices
    #[command(subcommand)]
    Group(group::Command),
    /// Remote configuration: a file of each product that its devices fetch
    #[command(subcommand)]
    Config(config::Command),
    /// Modules: parts of a device with a version of their own
    #[command(subcommand)]
    Module(module::Command),
    /// Packages: files to bring to devices
    #[command(subcommand)]
    Package(package::Command),
    /// Jobs: orders to bring a package to devices
    #[command(subcommand)]
    Job(job::Command),
    /// Tasks: one device in one job
    #[command(subcommand)]
    Task(task::Command),
    /// Statistics: versions of devices, results of upgrades
    #[command(subcommand)]
    Stats(stats::Command),
    /// What happened, and with --follow what happens
    Events(events::Show),
    /// How the platform is doing, and what it has counted
    Status(status::Show),
    /// Certificates for TLS
    #[command(subcommand)]
    Certs(certs::Command),
    /// Look into what a device receives
    #[command(subcommand)]
    Frame(frame::Command),
    /// Faults to test a device with
    #[command(subcommand)]
    Sim(sim::Command),
    /// Write database, files and key into one file, while the platform may be running
    Backup(backup::Backup),
    /// Bring a backup back, into an empty data folder
    Restore(backup::Restore),
}

/// Carries a command out.
pub(crate) fn run(parsed: &Parsed) -> anyhow::Result<ExitCode> {
    let Cli { connection, command } = Cli::from_arg_matches(&parsed.matches)?;
    let client = || Client::new(&connection);
    match command {
        Command::Serve(serve) if serve.print_settings => output::part(&settings::shown(parsed)),
        Command::Serve(serve) => return serve::run(*serve, &connection),
        Command::Demo(demo) => return demo::run(demo),
        Command::Product(command) => product::run(command, &client()?)?,
        Command::Device(device::Command::Run(options)) => return device::run_device(*options),
        Command::Device(command) => device::run(command, &client()?)?,
        Command::Gateway(command) => gateway::run(command, &client()?)?,
        Command::Group(command) => group::run(command, &client()?)?,
        Command::Config(command) => config::run(command, &client()?)?,
        Command::Module(command) => module::run(command, &client()?)?,
        Command::Package(command) => package::run(command, &client()?)?,
        Command::Job(command) => return job::run(command, &client()?),
        Command::Task(command) => task::run(command, &client()?)?,
        Command::Stats(command) => stats::run(command, &client()?)?,
        Command::Events(show) => events::run(&show, &client()?)?,
        Command::Status(show) => status::run(&show, &client()?)?,
        Command::Certs(command) => certs::run(command, &connection)?,
        Command::Frame(command) => return frame::run(command),
        Command::Sim(command) => return sim::run(command, &connection),
        Command::Backup(command) => backup::backup(command, &connection)?,
        Command::Restore(command) => backup::restore(command, &connection)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
