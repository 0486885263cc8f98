//! TensorBoard event files: a history of epochs as the scalars that Keras and Lightning users look for. The format is
//! TFRecord framing (tensorflow/core/lib/io/record_writer.h) around protobuf messages (tensorflow/core/util/event.proto);
//! knows the history only, and no files.

use std::time::{Duration, SystemTime};

use prost::Message;

use crate::train::Epoch;

/// TensorBoard recognises event files by `tfevents`. Always the same name, so that a run that is written again
/// replaces its events instead of doubling them.
pub const FILE: &str = "events.out.tfevents.wgrad";

/// The fields of event.proto that scalars need.
#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
}

/// summary.proto.
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    /// In a `oneof` of the original, which is why 0 must be written too.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// The bytes of an event file: `loss/train`, `loss/validation`, `learning_rate` and every metric, one step an epoch.
/// `ended` is when the last epoch was over.
pub fn to_bytes(history: &[Epoch], ended: SystemTime) -> Vec<u8> {
    let seconds = history.last().map_or(0.0, |last| last.seconds);
    let wall_time = |after: f64| {
        let since_1970 = ended.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        since_1970.as_secs_f64() - (seconds - after)
    };
    let version = What::FileVersion("brain.Event:2".to_owned());
    let mut bytes = record(&Event { wall_time: wall_time(0.0), step: 0, what: Some(version) });
    for epoch in history {
        let value = |(tag, value): (String, f64)| Value { tag, simple_value: Some(value as f32) };
        let summary = Summary { value: scalars(epoch).into_iter().map(value).collect() };
        bytes.extend(record(&Event {
            wall_time: wall_time(epoch.seconds),
            step: epoch.epoch as i64,
            what: Some(What::Summary(summary)),
        }));
    }
    bytes
}

/// What TensorBoard draws in one chart stands before the slash.
fn scalars(epoch: &Epoch) -> Vec<(String, f64)> {
    let mut scalars = vec![("loss/train".to_owned(), epoch.train_loss)];
    scalars.extend(epoch.validation_loss.map(|loss| ("loss/validation".to_owned(), loss)));
    scalars.push(("learning_rate".to_owned(), epoch.learning_rate));
    scalars.extend(epoch.metrics.iter().map(|(name, value)| (tag(name), *value)));
    scalars
}

/// `validation_accuracy` is `accuracy/validation`, `gradient_norm layers.0.weight` is `gradient_norm/layers.0.weight`.
fn tag(column: &str) -> String {
    for set in ["train", "validation"] {
        if let Some(metric) = column.strip_prefix(set).and_then(|rest| rest.strip_prefix('_')) {
            return format!("{metric}/{set}");
        }
    }
    column.replace(' ', "/")
}

/// Length, its checksum, the message, its checksum; all little-endian.
fn record(event: &Event) -> Vec<u8> {
    let message = event.encode_to_vec();
    let length = (message.len() as u64).to_le_bytes();
    let mut bytes = length.to_vec();
    bytes.extend(masked_checksum(&length).to_le_bytes());
    bytes.extend(&message);
    bytes.extend(masked_checksum(&message).to_le_bytes());
    bytes
}

/// CRC-32C, rotated and shifted, because a checksum of data that holds checksums is weak.
fn masked_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(number: usize) -> Epoch {
        Epoch {
            epoch: number,
            learning_rate: 1e-3,
            train_loss: 1.0 / number as f64,
            validation_loss: (number > 1).then_some(0.0),
            metrics: vec![
                ("train_accuracy".into(), 0.5),
                ("validation_roc_auc".into(), 0.75),
                ("gradient_norm layers.0.weight".into(), 2.0),
            ],
            seconds: number as f64,
            is_best: false,
        }
    }

    /// Takes a file apart again, checking every checksum.
    fn events(mut bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            let sum = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            assert_eq!(sum(8), masked_checksum(&bytes[..8]));
            let message = &bytes[12..12 + length];
            assert_eq!(sum(12 + length), masked_checksum(message));
            events.push(Event::decode(message).unwrap());
            bytes = &bytes[16 + length..];
        }
        events
    }

    #[test]
    fn a_file_begins_with_its_version_and_has_one_event_an_epoch() {
        let ended = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let events = events(&to_bytes(&[epoch(1), epoch(2), epoch(3)], ended));
        assert_eq!(events.len(), 4);
        assert_eq!(events[0].what, Some(What::FileVersion("brain.Event:2".into())));
        let times: Vec<f64> = events.iter().map(|event| event.wall_time).collect();
        assert_eq!(times, [997.0, 998.0, 999.0, 1000.0]);
        let Some(What::Summary(summary)) = &events[2].what else { panic!("an epoch is a summary") };
        let values: Vec<(&str, f32)> =
            summary.value.iter().map(|v| (v.tag.as_str(), v.simple_value.unwrap())).collect();
        // A loss of 0 is there too: proto3 would leave it out.
        let wanted = [
            ("loss/train", 0.5),
            ("loss/validation", 0.0),
            ("learning_rate", 1e-3),
            ("accuracy/train", 0.5),
            ("roc_auc/validation", 0.75),
            ("gradient_norm/layers.0.weight", 2.0),
        ];
        assert_eq!(values, wanted);
        let Some(What::Summary(first)) = &events[1].what else { panic!("an epoch is a summary") };
        assert_eq!(first.value.len(), 5, "an epoch without validation rows has no such scalar");
    }

    #[test]
    fn the_checksum_is_that_of_tensorflow() {
        // The length 24 of a TFRecord that starts with these eight bytes, as TensorFlow writes it.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(masked_checksum(b"123456789"), 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8));
    }
}
