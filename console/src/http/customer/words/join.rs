//! What the page says that a customer opens to let the desk look at a machine.

use belay_protocol::lang::Phrase;

pub(in crate::http::customer) const JOIN_TITLE: &Phrase =
    &Phrase { en: "Let us look at your computer", zh: "让我们查看您的电脑" };
pub(in crate::http::customer) const WHAT_HAPPENS: &Phrase =
    &Phrase { en: "What will happen", zh: "接下来会发生什么" };
pub(in crate::http::customer) const HAPPENS: [Phrase; 4] = [
    Phrase {
        en: "You start a small program. It is not installed, and leaves your files alone.",
        zh: "您启动一个小程序。它无需安装，也不会改动您的文件。",
    },
    Phrase {
        en: "It looks at disks, memory, drivers and network, and shows you first what it has found.",
        zh: "它检查磁盘、内存、驱动程序和网络，并先把结果显示给您看。",
    },
    Phrase {
        en: "It shows exactly what would be sent to us. Nothing leaves your computer before you say yes.",
        zh: "它会准确显示将发送给我们的内容。在您同意之前，任何数据都不会离开您的电脑。",
    },
    Phrase {
        en: "You can stop at any moment: press Ctrl+C, or close the window.",
        zh: "您可以随时停止：按 Ctrl+C，或关闭窗口。",
    },
];
pub(in crate::http::customer) const YOUR_CODE: &Phrase =
    &Phrase { en: "The nine digits that we told you", zh: "我们告诉您的九位数字" };
pub(in crate::http::customer) const CODE_HINT: &Phrase = &Phrase {
    en: "Without a code? Telephone us: whoever helps you reads one out to you. It is good for 15 minutes and for one use. \
         Never enter a code that somebody gives you who called you out of the blue.",
    zh: "没有代码？请致电我们，为您服务的人员会念给您。代码 15 分钟内有效，只能使用一次。如果有陌生人突然来电给您代码，请不要输入。",
};
pub(in crate::http::customer) const GO_ON: &Phrase = &Phrase { en: "Go on", zh: "继续" };
pub(in crate::http::customer) const NINE_DIGITS: Phrase = Phrase {
    en: "A code has nine digits. Please type it as it was read to you; spaces do not matter.",
    zh: "代码有九位数字。请按听到的输入，空格没有关系。",
};
pub(in crate::http::customer) const MISTYPED: Phrase = Phrase {
    en: "There is a typing mistake in this code. Please compare it digit by digit.",
    zh: "代码输入有误，请逐位核对。",
};
pub(in crate::http::customer) const GET_PROGRAM: &Phrase = &Phrase { en: "1. Get the program", zh: "1. 获取程序" };
pub(in crate::http::customer) const FOR_SYSTEM: &Phrase = &Phrase { en: "For {system}", zh: "适用于 {system}" };
pub(in crate::http::customer) const OTHER_SYSTEMS: &Phrase = &Phrase { en: "Other systems", zh: "其他系统" };
pub(in crate::http::customer) const NO_BUILDS: &Phrase = &Phrase {
    en: "We offer no download here. Whoever helps you says where the program is.",
    zh: "此处不提供下载。为您服务的人员会告诉您程序在哪里。",
};
pub(in crate::http::customer) const SIGNATURE: &Phrase = &Phrase { en: "signature", zh: "签名" };
pub(in crate::http::customer) const START_IT: &Phrase = &Phrase { en: "2. Start it", zh: "2. 启动程序" };
pub(in crate::http::customer) const START_WINDOWS: &Phrase = &Phrase {
    en: "Open the file {name} from your downloads. When it asks for the support desk and for the code, type:",
    zh: "从下载文件夹中打开 {name}。当程序询问支持台地址和代码时，请输入：",
};
pub(in crate::http::customer) const START_ELSEWHERE: &Phrase =
    &Phrase { en: "Open a terminal and type:", zh: "打开终端并输入：" };
pub(in crate::http::customer) const DESK_IS: &Phrase = &Phrase { en: "Support desk", zh: "支持台" };
pub(in crate::http::customer) const CODE_IS: &Phrase = &Phrase { en: "Code", zh: "代码" };
pub(in crate::http::customer) const COMPARE: &Phrase = &Phrase {
    en: "3. The program shows three words. Compare them with whoever helps you before you say yes.",
    zh: "3. 程序会显示三个词。请先与为您服务的人员核对，再表示同意。",
};
pub(in crate::http::customer) const ANOTHER_CODE: &Phrase = &Phrase { en: "Another code", zh: "换一个代码" };
