//! stub
use heplake_sdk::*;
/// stub
#[derive(Default)]
pub struct Hep;
impl Parser for Hep {
    fn describe(&self) -> Description { Description::new("hep","0.1.0",Accepts::Datagrams).fields([Field::new("payload",Kind::Bytes)]) }
    fn parse(&mut self, packet:&Packet<'_>, rows:&mut Rows<'_>) -> Verdict { rows.row().text(0,packet.bytes); Verdict::PARSED }
}
heplake_sdk::export_parser!(Hep);
